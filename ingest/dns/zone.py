"""Answers from a file in place of the DNS: with ``--sandbox``, and wherever ``INGEST_DNS_ZONE`` names one."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from ingest.model.dns_records import NO_SUCH_NAME, DnsAnswer, Question


class ZoneFileError(Exception):
    """The file cannot be read as a zone. The text has one line that says so."""


class ZoneResolver:
    """Answers from a table: name in small letters -> type -> values as in ``DnsAnswer``. No other name exists."""

    def __init__(self, names: Mapping[str, Mapping[str, tuple[str, ...]]]) -> None:
        self._names = names

    async def query(self, question: Question) -> DnsAnswer:
        """Return the answer; never fails."""
        records = self._names.get(question.name)
        if records is not None:
            return DnsAnswer(tuple(records.get(question.record_type, ())))
        exists = any(name.endswith(f".{question.name}") for name in self._names)
        return DnsAnswer() if exists else NO_SUCH_NAME

    async def close(self) -> None:
        """Do nothing: nothing is in progress."""


def load_zone(path: Path) -> ZoneResolver:
    """Read the object ``zone`` of a JSON file: ``{"zone": {"example.com": {"TXT": ["v=spf1 -all"]}}}``.

    Raises:
        ZoneFileError: the file cannot be read, or has another form.
    """
    try:
        zone = json.loads(path.read_text("utf-8")).get("zone", {})
        names = {str(name).lower().removesuffix("."): _records(records) for name, records in zone.items()}
    except (OSError, UnicodeDecodeError, ValueError, AttributeError, TypeError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ZoneFileError(f"cannot read the zone in {path}: {why}") from error
    return ZoneResolver(names)


def _records(records: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    return {record_type.upper(): tuple(map(str, values)) for record_type, values in records.items()}
