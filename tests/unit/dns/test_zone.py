"""Answers from a file in place of the DNS."""

from pathlib import Path

import pytest

from ingest.dns.zone import ZoneFileError, load_zone
from ingest.model.dns_records import NO_SUCH_NAME, DnsAnswer, Question, RecordType


def write(folder: Path, text: str) -> Path:
    path = folder / "zone.json"
    path.write_text(text, "utf-8")
    return path


async def test_names_have_the_records_of_the_file(tmp_path: Path) -> None:
    zone = load_zone(write(tmp_path, '{"zone": {"Mail.Example.": {"txt": ["v=spf1 -all", "b"], "A": ["192.0.2.1"]}}}'))
    assert await zone.query(Question("mail.example", RecordType.TXT)) == DnsAnswer(("v=spf1 -all", "b"))
    assert await zone.query(Question("mail.example", RecordType.MX)) == DnsAnswer()
    await zone.close()


async def test_a_name_above_another_exists_and_all_others_do_not(tmp_path: Path) -> None:
    zone = load_zone(write(tmp_path, '{"zone": {"_dmarc.mail.example": {}}}'))
    assert await zone.query(Question("mail.example", RecordType.TXT)) == DnsAnswer()
    assert await zone.query(Question("other.example", RecordType.TXT)) == NO_SUCH_NAME


async def test_a_file_without_a_zone_knows_no_name(tmp_path: Path) -> None:
    zone = load_zone(write(tmp_path, "{}"))
    assert await zone.query(Question("mail.example", RecordType.TXT)) == NO_SUCH_NAME


@pytest.mark.parametrize("text", ["", "[]", '{"zone": []}', '{"zone": {"a": []}}', '{"zone": {"a": {"TXT": 1}}}'])
def test_what_is_no_zone_is_told(tmp_path: Path, text: str) -> None:
    with pytest.raises(ZoneFileError, match="cannot read the zone"):
        load_zone(write(tmp_path, text))


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ZoneFileError, match="nowhere"):
        load_zone(tmp_path / "nowhere.json")
