"""What the commands tell of mailboxes: the ledger of each folder, and the log-in of an account."""

import asyncio
import json
from pathlib import Path

import pytest

from ingest.model.imap_folder import Folder
from ingest.store.imap import ImapStore
from ingest.store.opening import open_database
from tests.support.commands import Shell

NOW = 1_800_000_000.0
GAP = Folder(
    source="imap:support/INBOX",
    uid_validity=7,
    start_uid=0,
    first_read_at=NOW,
    on_server=12,
    taken_in=10,
    gap_since=NOW,
    counted_at=NOW + 60,
)


@pytest.fixture
def ingest(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Shell:
    url = f"sqlite:///{tmp_path}/ingest.db"

    async def remember() -> None:
        async with open_database(url) as database:
            await ImapStore(database).save_folder(GAP)

    asyncio.run(remember())
    return Shell(capsys, {"INGEST_DATABASE_URL": url})


def test_the_ledger_tells_what_each_mailbox_holds_that_is_not_taken_in(ingest: Shell) -> None:
    told = json.loads(ingest("ledger", "--json").out)
    assert told["mailboxes"] == [
        {
            "mailbox": "imap:support/INBOX",
            "on_server": 12,
            "taken_in": 10,
            "gap_since": "2027-01-15T08:00:00+00:00",
            "counted_at": "2027-01-15T08:01:00+00:00",
        }
    ]
    assert "imap:support/INBOX\t12\t10\t2027-01-15T08:00:00+00:00" in ingest("ledger").out
