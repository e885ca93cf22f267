"""Reading mailboxes of a real Dovecot: what comes in, where it was read, and what happens to it afterwards."""

import asyncio
import datetime
import imaplib
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import pytest

from ingest.model.envelope import ReceivedMessage
from ingest.model.outcome import State
from ingest.sources.imap import Timing
from tests.support.dovecot import PASSWORD, Dovecot, dovecot
from tests.support.mailboxes import Intake, account, eventually, faster, intake, mail, numbered

PLAIN = "IMAP4rev1 SASL-IR LITERAL+ UIDPLUS"
"""What a server without IDLE and MOVE offers."""

_users = count(1)


@pytest.fixture(scope="module")
def server() -> Iterator[Dovecot]:
    with dovecot() as running:
        yield running


@pytest.fixture(scope="module")
def plain_server() -> Iterator[Dovecot]:
    with dovecot(capability=PLAIN) as running:
        yield running


@pytest.fixture
def user() -> str:
    return f"user{next(_users)}@customer.example"


@pytest.fixture
async def taken(tmp_path: Path) -> AsyncIterator[Intake]:
    async with intake(tmp_path) as running:
        yield running


async def test_mail_that_is_there_and_mail_that_comes_is_taken_in_octet_for_octet(
    server: Dovecot, user: str, taken: Intake
) -> None:
    odd = b"Subject: 8-bit \xff and a dot\r\n\r\n.\r\n..\r\n{5}\r\n)\r\ni3 OK done\r\n* BYE\r\n"
    server.deliver(user, mail("one"), odd)
    await taken.start(account(server, user))
    await taken.has(mail("one"), odd)
    server.deliver(user, mail("two"))
    await taken.has(mail("one"), odd, mail("two"))


async def test_the_row_says_which_account_folder_and_place_a_mail_was_read_from(
    server: Dovecot, user: str, taken: Intake
) -> None:
    server.deliver(user, mail("one"))
    await taken.start(account(server, user))
    await taken.has(mail("one"))
    [record] = await taken.records()
    assert record.source == f"imap:{user.partition('@')[0]}/INBOX"
    assert record.rcpt_tos == ("help@mail.ravenna.example",)
    assert record.mail_from == "alice@customer.example"
    folder = await taken.mailboxes.folder(record.source)
    assert folder is not None
    assert await taken.store.position(record.source) == f"{folder.uid_validity}/1"


async def test_a_server_without_idle_is_polled(plain_server: Dovecot, user: str, taken: Intake) -> None:
    await taken.start(account(plain_server, user, poll=1))
    await _reads(taken)
    plain_server.deliver(user, mail("one"))
    await taken.has(mail("one"))


async def test_reading_marks_nothing(server: Dovecot, user: str, taken: Intake) -> None:
    server.deliver(user, mail("one"))
    await taken.start(account(server, user))
    await taken.has(mail("one"))
    assert _search(server, user, "UNSEEN") == [1]


async def test_what_others_have_read_and_marked_is_taken_in_all_the_same(
    server: Dovecot, user: str, taken: Intake
) -> None:
    server.deliver(user, mail("read"), mail("deleted"))
    other = server.client(user)
    other.uid("STORE", "1", "+FLAGS", r"(\Seen)")
    other.uid("STORE", "2", "+FLAGS", r"(\Deleted)")
    other.logout()
    await taken.start(account(server, user))
    await taken.has(mail("read"), mail("deleted"))


async def test_mails_are_stored_in_the_order_of_the_mailbox_whatever_their_size(
    server: Dovecot, user: str, taken: Intake
) -> None:
    mails = [mail(f"mail-{n}", "x" * (400_000 if n % 3 == 0 else 10)) for n in range(12)]
    server.deliver(user, *mails)
    await taken.start(account(server, user))
    await taken.has(*mails)
    assert await taken.contents() == mails


# Where reading begins


async def test_new_means_from_the_first_start_on_also_after_a_restart(
    server: Dovecot, user: str, taken: Intake
) -> None:
    server.deliver(user, mail("old"))
    await taken.start(account(server, user, first="new"))
    await _reads(taken)
    await taken.stop()
    server.deliver(user, mail("while we were away"))
    await taken.start(account(server, user, first="new"))
    await taken.has(mail("while we were away"))


async def test_a_date_means_mail_that_came_on_that_day_or_later(server: Dovecot, user: str, taken: Intake) -> None:
    other = server.client(user)
    for day, name in ((1, "before"), (2, "on the day"), (3, "after")):
        date = imaplib.Time2Internaldate(datetime.datetime(2026, 10, day, 12, tzinfo=datetime.UTC))
        other.append("INBOX", "", date, mail(name))
    other.logout()
    await taken.start(account(server, user, first=datetime.date(2026, 10, 2)))
    await taken.has(mail("on the day"), mail("after"))
    server.deliver(user, mail("today"))
    await taken.has(mail("on the day"), mail("after"), mail("today"))


# What happens to mail that is stored


async def test_seen_is_set_once_and_a_person_may_take_it_off_again(server: Dovecot, user: str, taken: Intake) -> None:
    server.deliver(user, mail("one"), mail("two"))
    await taken.start(account(server, user, after="seen"))
    await eventually(lambda: _search(server, user, "SEEN") == [1, 2], "both are seen")
    await _counted(taken, 2)
    other = server.client(user)
    other.uid("STORE", "2", "-FLAGS", r"(\Seen)")
    other.logout()
    await taken.stop()
    server.deliver(user, mail("three"))
    await taken.start(account(server, user, after="seen"))
    await eventually(lambda: _search(server, user, "SEEN") == [1, 3], "the new one is seen, the other left alone")


@pytest.mark.parametrize("which", ["server", "plain_server"])
@pytest.mark.parametrize("after", ["move", "delete"])
async def test_stored_mail_leaves_the_folder_and_what_others_have_marked_as_deleted_stays(
    which: str, after: str, request: pytest.FixtureRequest, user: str, taken: Intake
) -> None:
    server: Dovecot = request.getfixturevalue(which)
    server.deliver(user, mail("old"))
    other = server.client(user)
    other.create("Done")
    other.uid("STORE", "1", "+FLAGS", r"(\Deleted)")
    other.logout()
    move_to = "Done" if after == "move" else None
    await taken.start(account(server, user, first="new", after=after, move_to=move_to, poll=1))
    await _reads(taken)
    server.deliver(user, mail("one"), mail("two"))
    await taken.has(mail("one"), mail("two"))
    await eventually(lambda: server.uids(user) == [1], "ours are gone, the one that somebody else has marked is there")
    assert len(server.uids(user, "Done")) == (2 if after == "move" else 0)


async def test_a_move_that_fails_keeps_no_mail_from_coming_in_and_is_made_up_for(
    server: Dovecot, user: str, taken: Intake
) -> None:
    server.deliver(user, mail("one"))
    await taken.start(account(server, user, after="move", move_to="Missing"), timing=faster(count_seconds=0.2))
    await taken.has(mail("one"))
    server.deliver(user, mail("two"))
    await taken.has(mail("one"), mail("two"))
    other = server.client(user)
    other.create("Missing")
    other.logout()
    await eventually(lambda: server.uids(user) == [], "moved after all")
    assert len(server.uids(user, "Missing")) == 2


async def test_a_mail_that_dovecot_cannot_open_holds_back_only_itself(
    server: Dovecot, user: str, taken: Intake
) -> None:
    mails = numbered("d", 4)
    for content in mails:
        server.deliver(user, content)
    files = [file for file in (server.mail / user).rglob("*,*") if file.is_file()]
    [unreadable] = [file for file in files if b"Subject: d-2" in file.read_bytes()]
    unreadable.chmod(0)
    await taken.start(account(server, user))

    async def recorded() -> bool:
        return len(await taken.records()) == len(mails)

    await eventually(recorded, "all messages recorded")
    assert [record.state for record in await taken.records()].count(State.QUARANTINED) == 1


# Folders and accounts


async def test_folders_with_any_name_are_read(server: Dovecot, user: str, taken: Intake) -> None:
    name = 'Ärger & "Café" 日本'
    other = server.client(user)
    other.create('"&AMQ-rger &- \\"Caf&AOk-\\" &ZeVnLA-"')
    other.append('"&AMQ-rger &- \\"Caf&AOk-\\" &ZeVnLA-"', "", "", mail("elsewhere"))
    other.logout()
    server.deliver(user, mail("here"))
    await taken.start(account(server, user, folders=["inbox", name]))
    await taken.has(mail("here"), mail("elsewhere"))
    sources = {record.source.partition("/")[2] for record in await taken.records()}
    assert sources == {"INBOX", name}


async def test_one_accounts_trouble_does_not_touch_another(server: Dovecot, user: str, taken: Intake) -> None:
    server.deliver(user, mail("one"))
    wrong = [
        account(server, "wrong1@x.example", password="wrong"),
        account(server, "wrong2@x.example", port=1),
        account(server, "wrong3@x.example", folders=["Nowhere"]),
    ]
    source = await taken.start(*wrong, account(server, user))
    await taken.has(mail("one"))
    await eventually(lambda: sum(bool(reading.failure) for reading in source.statuses) == 3, "each trouble is told")


@pytest.mark.parametrize("security", ["tls", "starttls"])
async def test_mail_is_read_under_tls(server: Dovecot, user: str, taken: Intake, security: str) -> None:
    port = server.tls_port if security == "tls" else server.port
    server.deliver(user, mail("one"))
    await taken.start(account(server, user, host="localhost", security=security, port=port, ca_file=server.ca_file))
    await taken.has(mail("one"))


# Backpressure, sizes


async def test_above_the_limit_reading_pauses_and_the_mail_stays_on_the_server(
    server: Dovecot, user: str, taken: Intake
) -> None:
    taken.refused = "the backlog is too long"
    server.deliver(user, mail("one"))
    source = await taken.start(account(server, user, after="delete"))
    await eventually(lambda: source.statuses[0].paused == "the backlog is too long", "it pauses and says why")
    assert await taken.records() == ()
    assert server.uids(user) == [1]
    taken.refused = None
    await taken.has(mail("one"))


async def test_a_mail_above_the_size_limit_is_recorded_with_its_headers_and_left_in_the_mailbox(
    server: Dovecot, user: str, taken: Intake
) -> None:
    large = mail("large", "x" * 200_000)
    server.deliver(user, large, mail("small"))
    await taken.start(account(server, user, after="delete"), max_message_bytes=100_000)

    async def both() -> bool:
        return len(await taken.records()) == 2

    await eventually(both, "both recorded")
    by_state = {record.state: record for record in await taken.records()}
    bad = by_state[State.QUARANTINED]
    assert "100000" in bad.reason
    assert await taken.store.content(bad.queue_id) == large.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    assert await taken.store.content(by_state[State.QUEUED].queue_id) == mail("small")
    await eventually(lambda: server.uids(user) == [1], "the small one is removed, the large one is not")


LARGE = 50 * 1024 * 1024
ONE_READER = """
import asyncio, resource, sys
from types import SimpleNamespace
from ingest import log
from ingest.sources.imap import ImapSource
from tests.support.mailboxes import account

async def main(port, user):
    got = asyncio.Event()
    sizes = []
    async def receive(message):
        sizes.append(len(message.content))
        got.set()
        return "1"
    async def refusal(): return None
    class Memory:
        folder_ = None
        async def folder(self, source): return self.folder_
        async def save_folder(self, folder): self.folder_ = folder
        async def stored_uids(self, source, uid): return SimpleNamespace(whole=frozenset(), partial=frozenset())
        async def take_lease(self, *a, **k): return True
        async def release_lease(self, *a): pass
        async def release_all_leases(self): pass
    server = SimpleNamespace(port=port)
    source = ImapSource([account(server, user)], receive, refusal=refusal, store=Memory(), max_message_bytes=1 << 26)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    await source.start()
    await asyncio.wait_for(got.wait(), 60)
    print(sizes[0], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)

log.configure()
asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
"""


async def test_a_mail_of_50_mb_is_in_memory_once(server: Dovecot, user: str) -> None:
    await asyncio.to_thread(server.deliver, user, mail("large") + b"x" * 76 + b"\r\n" + b"y" * LARGE)
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", ONE_READER, str(server.port), user],
        cwd=Path(__file__).parents[4],
        capture_output=True,
        text=True,
        timeout=60,
    )
    size, grown = map(int, done.stdout.split())
    assert size > LARGE
    assert grown * 1024 < 1.5 * LARGE


# Several workers


async def test_one_worker_reads_a_mailbox_at_a_time_and_another_takes_over_when_it_stops(
    server: Dovecot, user: str, taken: Intake
) -> None:
    timing = faster(lease_seconds=60.0, renew_seconds=0.1)
    first = await taken.start(account(server, user), timing=timing, only_worker=False)
    await _reads(taken)
    second = await taken.start(account(server, user), timing=timing, only_worker=False)
    server.deliver(user, mail("one"))
    await taken.has(mail("one"))
    assert second.statuses[0].record is None
    await first.drain(5)
    server.deliver(user, mail("two"))
    await taken.has(mail("one"), mail("two"))
    assert second.statuses[0].record is not None


def test_a_dead_worker_is_replaced_within_a_minute() -> None:
    timing = Timing()
    assert timing.lease_seconds + timing.renew_seconds < 60


# The ledger


async def test_the_count_of_a_folder_says_what_the_server_holds_and_what_we_have(
    server: Dovecot, user: str, taken: Intake
) -> None:
    server.deliver(user, mail("old"))
    await taken.start(account(server, user, first="new"), timing=faster(count_seconds=0.1))
    await _reads(taken)
    server.deliver(user, *numbered("new", 3))
    await taken.has(*numbered("new", 3))
    await _counted(taken, 3)
    [folder] = await taken.mailboxes.folders()
    assert (folder.on_server, folder.taken_in, folder.gap_since) == (3, 3, None)


async def test_a_message_that_is_missing_from_the_store_is_found_by_the_count(
    server: Dovecot, user: str, taken: Intake
) -> None:
    server.deliver(user, *numbered("mail", 3))
    real = taken.receiver.receive
    failed: list[str] = []

    async def fails_once(message: ReceivedMessage) -> str:
        if b"mail-2" in message.content and not failed:
            failed.append("once")
            raise OSError("the disk was full for a moment")
        return await real(message)

    taken.receiver.receive = fails_once  # type: ignore[method-assign] # a store that fails for one message alone
    await taken.start(account(server, user))
    await taken.has(*numbered("mail", 3))
    assert failed


def _search(server: Dovecot, user: str, criterion: str) -> list[int]:
    client = imaplib.IMAP4("127.0.0.1", server.port, timeout=10)
    client.login(user, PASSWORD)
    client.select("INBOX", readonly=True)
    _, (found,) = client.uid("SEARCH", criterion)
    client.logout()
    return [int(uid) for uid in (found or b"").split()]


async def _reads(taken: Intake) -> None:
    source = taken.source
    assert source is not None
    await eventually(lambda: all(reading.record for reading in source.statuses), "every folder is open")


async def _counted(taken: Intake, messages: int) -> None:
    async def counted() -> bool:
        return any(folder.taken_in == messages for folder in await taken.mailboxes.folders())

    await eventually(counted, f"a count of {messages}")
