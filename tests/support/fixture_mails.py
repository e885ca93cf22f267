"""Loads the mails of ``fixtures/mails`` with their expected results, and compares results (``fixtures/README.md``)."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingest.model.envelope import Envelope
from ingest.sources import replay

FIXTURES = Path(__file__).parents[2] / "fixtures"
MAILS = FIXTURES / "mails"
SANDBOX = FIXTURES / "sandbox.json"
SIGNING_KEY = "signing-key-of-the-fixture-mails"
FALLBACK_AUTHOR = "cm6uwfhvdy8ufuqc66rmrqt36"
DOMAIN = "mail.ravenna.example"

Result = Mapping[str, Any]
"""The result of a mail in the form that ``ingest explain --json`` prints."""

_EMPTY_LINES = re.compile("\n{3,}")
COMPARED = ("message", "reply", "resolution", "outcome", "post")


@dataclass(frozen=True, slots=True, kw_only=True)
class FixtureMail:
    """A mail and its expected result."""

    name: str
    path: Path
    expected: Mapping[str, Any]

    @property
    def content(self) -> bytes:
        return self.path.read_bytes()

    @property
    def after(self) -> tuple[str, ...]:
        """Names of the fixtures that have to be received before this one."""
        return tuple(self.expected.get("after", ()))

    @property
    def fallback_author(self) -> str:
        """Id of the fallback author; ``""`` for none."""
        return self.expected.get("settings", {}).get("fallback_author_id", FALLBACK_AUTHOR) or ""

    @property
    def envelope(self) -> Envelope:
        """The envelope that the fixture states, or else the one that a replay of the file takes from its fields."""
        stated = self.expected.get("envelope")
        if stated is None:
            mail = replay.FileMail(path=self.name, content=self.content)
            return replay.received_message(mail, received_at=0.0).envelope
        return Envelope(mail_from=stated["mail_from"], rcpt_tos=tuple(stated["rcpt_tos"]))


def load() -> tuple[FixtureMail, ...]:
    """Return all fixture mails, by name."""
    return tuple(
        FixtureMail(name=path.stem, path=path, expected=json.loads(path.with_suffix(".json").read_text("utf-8")))
        for path in sorted(MAILS.glob("*.eml"))
    )


def differences(expected: Result, result: Result) -> tuple[str, ...]:
    """Return a line for each difference between the result and the expected one. Only what is expected is compared."""
    parts = ((name, expected[name], result.get(name)) for name in COMPARED if name in expected)
    return tuple(line for name, wanted, found in parts for line in _differ(name, wanted, found))


def _differ(path: str, wanted: Any, found: Any) -> Iterator[str]:
    if isinstance(wanted, dict):
        for name, value in wanted.items():
            yield from _differ_in(f"{path}.{name}", name, value, found if isinstance(found, Mapping) else {})
    elif isinstance(wanted, list) and isinstance(found, Sequence) and not isinstance(found, str):
        if len(wanted) != len(found):
            yield f"{path}: {len(wanted)} expected, found {len(found)}: {found!r}"
        for number, (one, other) in enumerate(zip(wanted, found, strict=False)):
            yield from _differ(f"{path}[{number}]", one, other)
    elif wanted != found:
        yield f"{path}: expected {wanted!r}, found {found!r}"


def _differ_in(path: str, name: str, wanted: Any, found: Mapping[str, Any]) -> Iterator[str]:
    """Compare ``content`` by its lines or by pieces that it has or lacks, ``defects`` by pieces, the rest as it is."""
    if name == "content":
        yield from _differ(path, _lines(wanted), _lines(found.get("content") or ""))
    elif name == "content_contains":
        content = found.get("content") or ""
        yield from (f"{path}: {piece!r} is not in {content!r}" for piece in wanted if piece not in content)
    elif name == "content_lacks":
        content = found.get("content") or ""
        yield from (f"{path}: {piece!r} is in {content!r}" for piece in wanted if piece in content)
    elif name == "defects":
        told = "\n".join(found.get("defects", ())).casefold()
        yield from (f"{path}: no defect names {piece!r}: {told!r}" for piece in wanted if piece.casefold() not in told)
    else:
        yield from _differ(path, wanted, found.get(name))


def _lines(text: str) -> str:
    """Remove what nobody sees: spaces at the ends of lines, and more than one empty line."""
    return _EMPTY_LINES.sub("\n\n", "\n".join(line.rstrip() for line in text.split("\n")))
