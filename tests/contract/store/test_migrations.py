"""A database that an earlier version made is brought up to date with all its rows."""

from collections.abc import AsyncIterator
from importlib import resources
from pathlib import Path

import apsw
import pytest

from ingest.model.imap_folder import Folder, StoredUids
from ingest.model.outcome import Delivered
from ingest.store import Database
from ingest.store.imap import ImapStore
from ingest.store.messages import Store
from ingest.store.sqlite import SqliteDatabase
from ingest.store.uploads import Upload, Uploads
from tests.support.store import claim, claim_one, identify

OLD = ("0001_messages", "0002_imap", "0003_uploads", "0004_imprints", "0005_lacking")
NOW = 2000.0
ROWS = """
INSERT INTO messages (seq, queue_id, dedupe_key, source, position, mail_from, rcpt_tos, helo, client, smtputf8, size,
    received_at, patient_since, due_at, behind, ticket_id, imprints, lacking_since, updated_at, whole)
VALUES
    (1, 'Q1', 'k1', 'imap:a/INBOX', '7/1', 'alice@x', '["help@y"]', '', '', 0, 5, 1000, 1100, 1500, NULL, 'T1',
        'U1 aa' || char(10), 1200, 1000, 1),
    (2, 'Q2', 'k2', 'imap:a/INBOX', '7/2', 'alice@x', '["help@y"]', '', '', 0, 5, 1001, 1001, 9000, 'Q1', 'T1',
        '', NULL, 1001, 0);
INSERT INTO contents (seq, encoding, octets) VALUES (1, '', CAST('first' AS BLOB)), (2, '', CAST('other' AS BLOB));
INSERT INTO uploads (seq, part, sha256, ticket_id, sender, attachment_id)
VALUES (1, 3, 'digest', 'T1', 'alice@x', 'A1');
INSERT INTO imap_folders (source, uid_validity, start_uid, met_at, since) VALUES ('imap:a/INBOX', 7, 4, 900, 800);
UPDATE counters SET value = 2 WHERE name = 'accepted';
"""


def make_old_database(path: Path) -> None:
    """Make a database as a version with the migrations of ``OLD`` left it: two messages of one ticket, the second
    blocked by the first."""
    folder = resources.files("ingest.store").joinpath("migrations")
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE migrations (name TEXT PRIMARY KEY)")
    for name in OLD:
        connection.execute(folder.joinpath(f"{name}.sql").read_text("utf-8"))
        connection.execute("INSERT INTO migrations (name) VALUES (?)", (name,))
    connection.execute(ROWS)
    connection.close()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    make_old_database(tmp_path / "ingest.db")
    database = SqliteDatabase(tmp_path / "ingest.db")
    assert (await database.migrate())[0] == "0006_names"
    yield database
    await database.close()


async def test_queued_messages_of_an_older_version_keep_their_facts(store: Store) -> None:
    (queued,) = await claim(store, now=NOW)
    assert (queued.queue_id, queued.retry_window_start, queued.optional_failing_since) == ("Q1", 1100, 1200)
    assert await store.content("Q1") == b"first"
    assert (await identify(store, queued, ticket_id="T1")).post_fingerprints == ("U1 aa",)
    assert (await store.ledger(now=NOW)).holds


async def test_a_message_that_was_blocked_in_an_older_version_is_unblocked_by_the_one_before_it(store: Store) -> None:
    queued = await claim_one(store, now=NOW)
    delivered = Delivered(ticket_id="T1", ticket_message_id="M1")
    assert await store.settle(queued.queue_id, queued.lease_token, delivered, now=NOW)
    assert (await claim_one(store, now=NOW)).queue_id == "Q2"


async def test_uploads_and_folders_of_an_older_version_are_kept(database: Database) -> None:
    assert await Uploads(database).for_message("Q1") == (Upload(part_number=3, ticket_id="T1", attachment_id="A1"),)
    mailboxes = ImapStore(database)
    folder = Folder(source="imap:a/INBOX", uid_validity=7, start_uid=4, first_read_at=900, ignored_before=800)
    assert await mailboxes.folders() == (folder,)
    stored = await mailboxes.stored_uids("imap:a/INBOX", 7)
    assert stored == StoredUids(whole=frozenset({1}), partial=frozenset({2}))


def test_each_migration_has_a_number_of_its_own() -> None:
    numbers = [
        file.name.partition("_")[0]
        for file in (resources.files("ingest.store") / "migrations").iterdir()
        if file.name.endswith(".sql")
    ]
    assert len(set(numbers)) == len(numbers)
