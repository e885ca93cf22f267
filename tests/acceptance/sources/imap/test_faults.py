"""Servers that die, networks that stall and cut, mailboxes that others change: afterwards, every message is taken in
exactly once."""

from collections.abc import AsyncIterator, Callable, Iterator
from itertools import chain, count
from pathlib import Path

import pytest

from ingest.model.envelope import ReceivedMessage
from ingest.sources.imap import Timing
from tests.support.dovecot import Dovecot, dovecot
from tests.support.mailboxes import Intake, account, eventually, faster, intake, mail, numbered
from tests.support.proxy import Proxy, proxy

MAILS = tuple(numbered("mail", 30))
USER = "alice@customer.example"
SMALL_BATCHES = {"batch_messages": 3}


@pytest.fixture
def server() -> Iterator[Dovecot]:
    with dovecot() as running:
        yield running


@pytest.fixture
async def network(server: Dovecot) -> AsyncIterator[Proxy]:
    async with proxy(server.port) as running:
        yield running


@pytest.fixture
async def taken(tmp_path: Path) -> AsyncIterator[Intake]:
    async with intake(tmp_path) as running:
        yield running


def when_stored(taken: Intake, number: int, do: Callable[[], object]) -> None:
    """Have ``do`` called once, when ``number`` messages are stored."""
    real, stored = taken.receiver.receive, count(1)

    async def receive(message: ReceivedMessage) -> str:
        queue_id = await real(message)
        if next(stored) == number:
            do()
        return queue_id

    taken.receiver.receive = receive  # type: ignore[method-assign] # the test's place to act from


async def test_a_server_that_dies_in_the_middle_of_a_fetch(server: Dovecot, taken: Intake) -> None:
    server.deliver(USER, *MAILS)
    when_stored(taken, 7, server.stop)
    source = await taken.start(account(server, USER), timing=faster(**SMALL_BATCHES))
    await eventually(lambda: bool(source.statuses[0].failure), "the death is noticed")
    server.start()
    await taken.has(*MAILS)


async def test_a_server_that_dies_while_we_wait_in_idle(server: Dovecot, taken: Intake) -> None:
    server.deliver(USER, mail("before"))
    source = await taken.start(account(server, USER))
    await taken.has(mail("before"))
    server.stop()
    await eventually(lambda: bool(source.statuses[0].failure), "the death is noticed")
    server.start()
    server.deliver(USER, mail("after"))
    await taken.has(mail("before"), mail("after"))


async def test_a_connection_that_silently_dies_in_idle_is_noticed_and_replaced(
    server: Dovecot, network: Proxy, taken: Intake
) -> None:
    await taken.start(account(server, USER, port=network.port), timing=faster(idle_seconds=0.2, timeout_seconds=0.3))
    server.deliver(USER, mail("before"))
    await taken.has(mail("before"))
    network.stall()
    server.deliver(USER, mail("after"))
    await taken.has(mail("before"), mail("after"))
    assert network.connections > 1


async def test_idle_is_begun_anew_in_time(server: Dovecot, network: Proxy, taken: Intake) -> None:
    await taken.start(account(server, USER, port=network.port), timing=faster(idle_seconds=0.1))
    await eventually(lambda: network.said.count(b"DONE\r\n") >= 4, "some rounds of IDLE on one connection")
    server.deliver(USER, mail("one"))
    await taken.has(mail("one"))
    assert network.connections == 1


async def test_a_connection_that_stalls_in_the_middle_of_a_fetch(
    server: Dovecot, network: Proxy, taken: Intake
) -> None:
    server.deliver(USER, *MAILS)
    when_stored(taken, 5, network.stall)
    await taken.start(account(server, USER, port=network.port), timing=faster(timeout_seconds=0.5, **SMALL_BATCHES))
    await taken.has(*MAILS)


async def test_connections_that_are_cut_at_every_stage_of_the_dialogue(
    server: Dovecot, network: Proxy, taken: Intake
) -> None:
    server.deliver(USER, *MAILS)
    network.cuts = iter(chain(range(1, 2_000, 61), range(2_000, 12_000, 641)))
    timing = faster(
        first_retry_seconds=0.001, max_retry_seconds=0.001, batch_messages=4, message_retry_seconds=(0.0,) * 60
    )
    await taken.start(account(server, USER, port=network.port), timing=timing)
    await taken.has(*MAILS)
    assert network.connections > 20


async def test_octets_that_come_one_by_one_and_late(server: Dovecot, network: Proxy, taken: Intake) -> None:
    server.deliver(USER, *MAILS[:2])
    network.piece = 1
    await taken.start(account(server, USER, port=network.port))
    await taken.has(*MAILS[:2])
    network.piece, network.delay = 65_536, 0.05
    server.deliver(USER, MAILS[2])
    await taken.has(*MAILS[:3])


async def test_a_message_that_others_delete_or_move_while_we_read_is_no_trouble(server: Dovecot, taken: Intake) -> None:
    server.deliver(USER, *MAILS)
    other = server.client(USER)
    other.create("Elsewhere")

    def interfere() -> None:
        other.uid("STORE", "20:24", "+FLAGS", r"(\Deleted)")
        other.expunge()
        other.uid("MOVE", "25:29", "Elsewhere")

    when_stored(taken, 2, interfere)
    await taken.start(account(server, USER, after="delete"), timing=faster(count_seconds=0.2, **SMALL_BATCHES))
    left = (*MAILS[:19], MAILS[29])
    await taken.has(*left)
    await eventually(lambda: server.uids(USER) == [], "the rest is removed")
    other.logout()

    async def no_gap() -> bool:
        [folder] = await taken.mailboxes.folders()
        return folder.gap_since is None and folder.counted_at is not None

    await eventually(no_gap, "what others took away is no gap")


async def test_a_mailbox_that_is_numbered_anew_is_read_again(server: Dovecot, taken: Intake) -> None:
    server.deliver(USER, *MAILS[:3])
    source = await taken.start(account(server, USER))
    await taken.has(*MAILS[:3])
    server.stop()
    await eventually(lambda: bool(source.statuses[0].failure), "the death is noticed")
    server.renew_uid_validity(USER)
    server.start()
    await taken.has(*MAILS[:3], *MAILS[:3])
    server.deliver(USER, MAILS[3])
    await taken.has(*MAILS[:3], *MAILS[:4])


async def test_after_new_numbers_what_was_there_before_us_is_still_not_ours(server: Dovecot, taken: Intake) -> None:
    old = server.client(USER)
    old.append("INBOX", "", '"01-Oct-2020 10:00:00 +0000"', mail("old"))
    old.logout()
    source = await taken.start(account(server, USER, first="new"))
    await eventually(lambda: source.statuses[0].record is not None, "the folder is open")
    server.deliver(USER, mail("new"))
    await taken.has(mail("new"))
    server.stop()
    server.renew_uid_validity(USER)
    server.start()
    await taken.has(mail("new"), mail("new"))


async def test_a_store_that_takes_nothing_for_a_while_loses_nothing(server: Dovecot, taken: Intake) -> None:
    real, failing = taken.receiver.receive, count(1)

    async def receive(message: ReceivedMessage) -> str:
        if next(failing) <= 10:
            raise OSError("the disk is full")
        return await real(message)

    taken.receiver.receive = receive  # type: ignore[method-assign] # a store whose disk is full
    server.deliver(USER, *MAILS)
    await taken.start(account(server, USER, after="delete"))
    await taken.has(*MAILS)
    await eventually(lambda: server.uids(USER) == [], "removed only after they were stored")


async def test_a_gap_that_lasts_is_an_alarm_with_its_reason_and_closes(
    server: Dovecot, taken: Intake, capsys: pytest.CaptureFixture[str]
) -> None:
    taken.refused = "the backlog is too long"
    server.deliver(USER, *MAILS)
    source = await taken.start(account(server, USER), timing=faster(gap_alarm_seconds=0.2, count_seconds=0.1))
    told = await _alarm(capsys)
    assert "messages=30" in told
    assert "the backlog is too long" in told
    taken.refused = None
    await taken.has(*MAILS)
    await eventually(lambda: getattr(source.statuses[0].record, "gap_since", 0) is None, "the gap is closed")


async def test_a_folder_that_cannot_be_read_for_as_long_is_an_alarm_too(
    server: Dovecot, taken: Intake, capsys: pytest.CaptureFixture[str]
) -> None:
    await taken.start(account(server, USER, port=1), timing=faster(gap_alarm_seconds=0.2))
    assert "nobody listens at 127.0.0.1:1" in await _alarm(capsys)


async def _alarm(capsys: pytest.CaptureFixture[str]) -> str:
    """What was logged until an alarm came."""
    told = ""

    def came() -> bool:
        nonlocal told
        told += capsys.readouterr().out
        return "mail on the server is not taken in" in told

    await eventually(came, "the alarm")
    return told


def test_the_usual_figures_are_those_that_the_issue_asks_for() -> None:
    timing = Timing()
    assert timing.gap_alarm_seconds == 600
    assert timing.credential_warning_seconds == 14 * 86_400
    assert 60 <= timing.max_retry_seconds <= 600
