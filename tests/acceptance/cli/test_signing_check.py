"""``ingest check``: what is wrong with the keys and the address for copies."""

import json
from pathlib import Path

import pytest

from tests.support.commands import Shell

KEY = "0123456789abcdef0123456789abcdef"
SECRET = "copies-5d41402abc4b2a76"


@pytest.fixture
def ingest(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Shell:
    return Shell(capsys, {"INGEST_DATABASE_URL": f"sqlite:///{tmp_path}/ingest.db"})


def told(ingest: Shell, **settings: str) -> list[tuple[str, str]]:
    out = ingest("check", "--json", INGEST_SIGNING_KEY=KEY, INGEST_DOMAINS="desk.example", **settings).out
    rows = map(json.loads, out.splitlines())
    return [(row["level"], row["text"]) for row in rows if row["what"] == "settings"]


def test_check_warns_of_a_weak_old_key_and_does_not_tell_it(ingest: Shell) -> None:
    found = told(ingest, INGEST_SIGNING_KEYS_OLD="hunter2")
    assert ("warning", "INGEST_SIGNING_KEYS_OLD has a weak key: what it signed is no proof") in found
    assert "hunter2" not in str(found)


@pytest.mark.parametrize(
    ("domain", "recipients", "setting"),
    [("elsewhere.example", "*", "INGEST_DOMAINS"), ("desk.example", "help", "INGEST_RECIPIENTS")],
)
def test_check_tells_that_copies_could_not_come_in(ingest: Shell, domain: str, recipients: str, setting: str) -> None:
    found = told(ingest, INGEST_SENT_ADDRESS=f"{SECRET}@{domain}", INGEST_RECIPIENTS=recipients)
    [problem] = [text for level, text in found if level == "error" and "INGEST_SENT_ADDRESS" in text]
    assert setting in problem
    assert SECRET not in problem


def test_check_has_nothing_against_an_address_for_copies_that_is_ours(ingest: Shell) -> None:
    found = told(ingest, INGEST_SENT_ADDRESS=f"{SECRET}@Desk.example", INGEST_RECIPIENTS=f"help,{SECRET}")
    assert "INGEST_SENT_ADDRESS" not in str(found)
