"""What real servers have been seen to send, and worse. After each: every message is taken in exactly once, and one
that the server does not deliver is recorded as quarantined and holds back nothing else."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from ingest.config.imap_accounts import ImapAccount
from ingest.model.outcome import State
from tests.support.mailboxes import Intake, account, eventually, faster, intake, mail, numbered
from tests.support.scripted_imap import CLOSE, ScriptedServer, scripted

MAILS = tuple(numbered("odd", 5))
BAD = 3
"""UID of the message that makes the trouble."""


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted(*MAILS) as running:
        yield running


@pytest.fixture
async def taken(tmp_path: Path) -> AsyncIterator[Intake]:
    async with intake(tmp_path) as running:
        yield running


def reads(server: ScriptedServer, **changed: object) -> ImapAccount:
    return account(server, "odd@customer.example", **changed)


async def test_an_ordinary_server_is_read_to_the_end(server: ScriptedServer, taken: Intake) -> None:
    await taken.start(reads(server))
    await taken.has(*MAILS)


@pytest.mark.parametrize(
    "before",
    [
        b"* OK [X-NEVER-SEEN {odd} (nested)] hello\r\n",
        b"* 3 FETCH (FLAGS (\\Seen $Forwarded))\r\n",
        b"* 9 EXISTS\r\n* 1 RECENT\r\n",
        b"* FLAGS (\\Answered)\r\n* SEARCH\r\n* LIST (\\HasNoChildren) NIL {5}\r\nINBOX\r\n",
        b'* XUNKNOWN "quoted \\" text" ({3}\r\n)\r\n) (\r\n',
        b"* VANISHED (EARLIER) 41,43:116\r\n",
        b"* NO [ALERT] disk nearly full\r\n* BAD something before was odd\r\n",
        b"* OK\r\n",
    ],
    ids=["code", "flags", "counts", "lists", "unknown", "vanished", "warnings", "bare"],
)
async def test_untagged_data_in_between_is_passed_over(server: ScriptedServer, taken: Intake, before: bytes) -> None:
    server.answer_bodies(lambda _tag, _uid, usual: before + usual)
    await taken.start(reads(server))
    await taken.has(*MAILS)


@pytest.mark.parametrize("name", [b"BODY[]<0>", b"RFC822", b"body[]"])
async def test_a_body_counts_under_any_name_that_servers_use(
    server: ScriptedServer, taken: Intake, name: bytes
) -> None:
    server.answer_bodies(lambda _tag, _uid, usual: usual.replace(b"BODY[]", name))
    await taken.start(reads(server))
    await taken.has(*MAILS)


async def test_a_body_in_quotes_is_a_body(server: ScriptedServer, taken: Intake) -> None:
    server.mails[BAD] = b'Subject: "quoted"'
    server.answer_bodies(
        lambda _tag, uid, _usual: b'* 3 FETCH (UID 3 BODY[] "Subject: \\"quoted\\"")\r\n' if uid == BAD else None
    )
    await taken.start(reads(server))
    await taken.has(*server.mails.values())


async def test_a_fetch_response_without_uid_counts_when_only_one_message_was_asked_for(
    server: ScriptedServer, taken: Intake
) -> None:
    server.answer_bodies(lambda _tag, uid, usual: usual.replace(b"UID %d " % uid, b""))
    await taken.start(reads(server))
    await taken.has(*MAILS)


async def test_lines_that_end_in_lf_alone_are_lines(server: ScriptedServer, taken: Intake) -> None:
    server.greeting = b"* OK ready\n"
    server.answers["UID SEARCH"] = lambda tag, command: server.usual(tag, command).replace(b"\r\n", b"\n")
    await taken.start(reads(server))
    await taken.has(*MAILS)


REFUSALS: dict[str, Callable[[str, int, bytes], bytes]] = {
    "nil": lambda _tag, _uid, _usual: b"* 3 FETCH (UID 3 BODY[] NIL)\r\n",
    "nothing": lambda _tag, _uid, _usual: b"* OK nothing to see\r\n",
    "garbage": lambda _tag, _uid, _usual: b"* 3 FETCH (UID 3 (((BODY[ \r\n",
    "bye": lambda _tag, _uid, _usual: b"* BYE internal error\r\n" + CLOSE,
    "cut in the literal": lambda _tag, _uid, usual: usual[:60] + CLOSE,
    "literal longer than the mail": lambda _tag, _uid, usual: usual.replace(b"{", b"{9") + CLOSE,
    "no response at all": lambda _tag, _uid, _usual: b"* HTTP/1.1 500\r\nServer: x\r\n" + CLOSE,
}


@pytest.mark.parametrize("kind", REFUSALS)
async def test_a_message_that_the_server_does_not_deliver_holds_back_only_itself(
    server: ScriptedServer, taken: Intake, kind: str
) -> None:
    refuse = REFUSALS[kind]
    server.answer_bodies(lambda tag, uid, usual: refuse(tag, uid, usual) if uid == BAD else None)
    await taken.start(reads(server))
    await _has_all_but_the_bad_one(taken)


async def test_a_message_answered_with_no_holds_back_only_itself(server: ScriptedServer, taken: Intake) -> None:
    def refuse(tag: str, command: str) -> bytes | None:
        asked = "BODY.PEEK[]" in command and BAD in server.named(command)
        return f"{tag} NO cannot open message\r\n".encode() if asked else None

    server.answers["UID FETCH"] = refuse
    await taken.start(reads(server))
    await _has_all_but_the_bad_one(taken)


WORDS_OF_ONE_MAIL_AND_OF_AN_OUTAGE = [
    "NO [UNAVAILABLE] FETCH Server error - Please try again later",
    "NO [SERVERBUG] Internal error occurred. Refer to server log for more information.",
    "BAD Server Unavailable. 15",
    "NO Some messages could not be FETCHed (Failure)",
    "NO [INUSE] mailbox is locked",
    "NO backend error, temporarily unavailable",
    "NO [LIMIT] this message is over a limit",
]


@pytest.mark.parametrize("words", WORDS_OF_ONE_MAIL_AND_OF_AN_OUTAGE)
@pytest.mark.parametrize("item", ["BODY.PEEK[]", "RFC822.SIZE"])
async def test_a_message_that_is_always_refused_holds_back_only_itself(
    server: ScriptedServer, taken: Intake, words: str, item: str
) -> None:
    def refuse(tag: str, command: str) -> bytes | None:
        asked = BAD in server.named(command) and ("BODY.PEEK[]" in command or item in command)
        return f"{tag} {words}\r\n".encode() if asked else None

    server.answers["UID FETCH"] = refuse
    await taken.start(reads(server))
    await _has_all_but_the_bad_one(taken)


async def test_the_others_are_read_before_a_refused_one_is_asked_for_again(
    server: ScriptedServer, taken: Intake
) -> None:
    def refuse(tag: str, command: str) -> bytes | None:
        asked = "BODY.PEEK[]" in command and BAD in server.named(command)
        return f"{tag} NO [UNAVAILABLE] sorry\r\n".encode() if asked else None

    server.answers["UID FETCH"] = refuse
    await taken.start(reads(server), timing=faster(message_retry_seconds=(3600.0,)))
    await taken.has(*(content for uid, content in enumerate(MAILS, 1) if uid != BAD))


@pytest.mark.parametrize("words", [*WORDS_OF_ONE_MAIL_AND_OF_AN_OUTAGE, "closes"])
async def test_an_outage_makes_no_message_bad_however_long_it_lasts(
    server: ScriptedServer, taken: Intake, words: str
) -> None:
    asked = 0

    def ill(tag: str, command: str) -> bytes | None:
        nonlocal asked
        asked += "BODY.PEEK" in command
        if asked > 60 or "BODY.PEEK" not in command:
            return None
        return CLOSE if words == "closes" else f"{tag} {words}\r\n".encode()

    server.answers["UID FETCH"] = ill
    await taken.start(reads(server), timing=faster(first_retry_seconds=0.001, max_retry_seconds=0.01))
    await taken.has(*MAILS)


@pytest.mark.parametrize("words", [*WORDS_OF_ONE_MAIL_AND_OF_AN_OUTAGE, "closes"])
async def test_an_outage_that_begins_when_mail_was_read_makes_no_message_bad(
    server: ScriptedServer, taken: Intake, words: str
) -> None:
    asked = 0

    def ill(tag: str, command: str) -> bytes | None:
        nonlocal asked
        if "BODY.PEEK" not in command:
            return None
        asked += 1
        if asked == 1 or asked > 60:
            return None
        return CLOSE if words == "closes" else f"{tag} {words}\r\n".encode()

    server.answers["UID FETCH"] = ill
    timing = faster(first_retry_seconds=0.001, max_retry_seconds=0.01, batch_messages=1)
    await taken.start(reads(server), timing=timing)
    await taken.has(*MAILS)


async def test_a_refused_message_alone_in_its_folder_waits_until_another_shows_that_the_server_delivers(
    server: ScriptedServer, taken: Intake
) -> None:
    only, later = mail("only"), mail("later")
    server.mails = {1: only}

    def refuse(tag: str, command: str) -> bytes | None:
        asked = "BODY.PEEK[]" in command and 1 in server.named(command)
        return f"{tag} NO [UNAVAILABLE] sorry\r\n".encode() if asked else None

    server.answers["UID FETCH"] = refuse
    await taken.start(reads(server, poll=1), timing=faster(message_retry_seconds=(0.0, 0.01)))
    await eventually(lambda: sum("BODY.PEEK[]" in command for command in server.commands) >= 8, "eight attempts")
    assert await taken.records() == ()
    server.mails[2] = later

    async def recorded() -> bool:
        return len(await taken.records()) == 2

    await eventually(recorded, "both recorded")
    assert [r.state for r in await taken.records()].count(State.QUARANTINED) == 1
    assert later in await taken.contents()


async def test_a_refused_message_whose_whole_header_is_refused_too_is_recorded_with_the_fields_of_the_index(
    server: ScriptedServer, taken: Intake
) -> None:
    fields = b"From: alice@customer.example\r\nSubject: lost\r\n\r\n"

    def refuse(tag: str, command: str) -> bytes | None:
        if "SIZE" in command or BAD not in server.named(command):
            return None
        if "HEADER.FIELDS" not in command:
            return f"{tag} NO [SERVERBUG] sorry\r\n".encode()
        name = command.partition("PEEK")[2].removesuffix(")").encode()
        return b"* 3 FETCH (UID 3 BODY%s {%d}\r\n%s)\r\n%s OK done\r\n" % (name, len(fields), fields, tag.encode())

    server.answers["UID FETCH"] = refuse
    await taken.start(reads(server))

    async def recorded() -> bool:
        return len(await taken.records()) == len(MAILS)

    await eventually(recorded, "all messages recorded")
    [bad] = [record for record in await taken.records() if record.state is State.QUARANTINED]
    assert await taken.store.content(bad.queue_id) == fields


async def test_a_literal_shorter_than_announced_costs_a_connection_and_no_mail(
    server: ScriptedServer, taken: Intake
) -> None:
    server.answer_bodies(lambda _tag, uid, usual: usual.replace(b"{1", b"{2", 1) if uid == BAD else None)
    await taken.start(reads(server), timing=faster(timeout_seconds=0.3))
    await _has_all_but_the_bad_one(taken)


async def _has_all_but_the_bad_one(taken: Intake) -> None:
    """The others are there whole, the bad one with its headers, quarantined with a reason."""

    async def enough() -> bool:
        return len(await taken.records()) >= len(MAILS)

    await eventually(enough, "all messages recorded")
    records = await taken.records()
    assert len(records) == len(MAILS)
    quarantined = [record for record in records if record.state is State.QUARANTINED]
    assert [record.rule for record in quarantined] == ["incomplete"]
    assert "still in the mailbox" in quarantined[0].reason
    assert await taken.store.content(quarantined[0].queue_id) == MAILS[BAD - 1].partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    whole = [await taken.store.content(record.queue_id) for record in records if record.state is State.QUEUED]
    assert sorted(whole) == sorted(content for uid, content in enumerate(MAILS, 1) if uid != BAD)


async def test_a_message_whose_very_headers_break_the_connection_is_recorded_by_its_place(
    server: ScriptedServer, taken: Intake
) -> None:
    def broken(_tag: str, command: str) -> bytes | None:
        return CLOSE if "SIZE" not in command and BAD in server.named(command) else None

    server.answers["UID FETCH"] = broken
    await taken.start(reads(server))

    async def recorded() -> bool:
        return len(await taken.records()) == len(MAILS)

    await eventually(recorded, "all messages recorded")
    [bad] = [record for record in await taken.records() if record.state is State.QUARANTINED]
    assert b"X-Ingest-Place: imap:odd/INBOX 7/3" in await taken.store.content(bad.queue_id)


async def test_a_message_that_could_not_be_read_is_not_removed_from_the_mailbox(
    server: ScriptedServer, taken: Intake
) -> None:
    server.answer_bodies(lambda _tag, uid, _usual: b"* 3 FETCH (UID 3 BODY[] NIL)\r\n" if uid == BAD else None)
    await taken.start(reads(server, after="delete"))
    await _has_all_but_the_bad_one(taken)
    await taken.stop()
    removing = [command for command in server.commands if command.startswith(("UID STORE", "UID EXPUNGE"))]
    assert removing
    assert not any(BAD in server.named(command) for command in removing)


async def test_a_server_that_says_bye_at_every_seventh_command_is_read_to_the_end(
    server: ScriptedServer, taken: Intake
) -> None:
    count = 0

    def bye(tag: str, command: str) -> bytes | None:
        nonlocal count
        count += 1
        return b"* BYE too busy\r\n" + CLOSE if count % 7 == 6 else None

    server.answers[""] = bye
    await taken.start(reads(server))
    await taken.has(*MAILS)


async def test_a_server_that_is_ill_for_a_while_makes_no_message_bad(server: ScriptedServer, taken: Intake) -> None:
    ill = 12

    def unavailable(tag: str, command: str) -> bytes | None:
        nonlocal ill
        ill -= 1
        return f"{tag} NO [UNAVAILABLE] backend is down\r\n".encode() if ill > 0 else None

    server.answers["UID FETCH"] = unavailable
    await taken.start(reads(server))
    await taken.has(*MAILS)


async def test_preauth_needs_no_login(server: ScriptedServer, taken: Intake) -> None:
    server.greeting = b"* PREAUTH welcome\r\n"
    server.answers["AUTHENTICATE"] = lambda tag, _command: f"{tag} BAD already\r\n".encode()
    await taken.start(reads(server))
    await taken.has(*MAILS)


async def test_mail_moved_into_the_folder_while_it_is_read_is_taken_in(server: ScriptedServer, taken: Intake) -> None:
    def arrive(_tag: str, uid: int, usual: bytes) -> bytes | None:
        if uid == 5 and 6 not in server.mails:
            server.mails[6] = mail("late")
            return b"* 6 EXISTS\r\n" + usual
        return None

    server.answer_bodies(arrive)
    await taken.start(reads(server))
    await taken.has(*MAILS, mail("late"))


@pytest.mark.parametrize("after", ["nothing", "delete", "move"])
@pytest.mark.parametrize("subject", ["Retrieval using the IMAP4 protocol failed for the\r\n message: 3", "Abruf"])
async def test_the_notice_that_exchange_sends_for_a_mail_is_not_the_mail(
    server: ScriptedServer, taken: Intake, after: str, subject: str
) -> None:
    notice = (
        f"MIME-Version: 1.0\r\nFrom: Microsoft Exchange Server 2010\r\nTo: Help <help@support.example>\r\n"
        f'Subject: {subject}\r\n\r\nSubject: "Lost"\r\nThe message hasn\'t been deleted.\r\n'
    ).encode()
    server.answer_bodies(
        lambda _tag, uid, _usual: (
            b"* 3 FETCH (UID 3 BODY[] {%d}\r\n%s)\r\n" % (len(notice), notice) if uid == BAD else None
        )
    )
    await taken.start(reads(server, after=after, move_to="Done" if after == "move" else None))

    async def enough() -> bool:
        return len(await taken.records()) >= len(MAILS)

    await eventually(enough, "all messages recorded")
    await taken.stop()
    [bad] = [record for record in await taken.records() if record.state is State.QUARANTINED]
    assert bad.rule == "incomplete"
    assert await taken.store.content(bad.queue_id) == notice
    removing = [c for c in server.commands if c.startswith(("UID STORE", "UID EXPUNGE", "UID MOVE"))]
    assert not any(BAD in server.named(command) for command in removing)


@pytest.mark.parametrize("line", [b"", b"* OK [UIDVALIDITY 0] valid\r\n"])
async def test_a_server_without_uidvalidity_is_read_and_each_mail_once(
    server: ScriptedServer, taken: Intake, line: bytes
) -> None:
    usual = b"* OK [UIDVALIDITY 7] valid\r\n"
    server.answers["EXAMINE"] = lambda tag, command: server.usual(tag, command).replace(usual, line)
    await taken.start(reads(server))
    await taken.has(*MAILS)
    await taken.stop()
    source = await taken.start(reads(server))
    await eventually(lambda: source.statuses[0].record is not None, "the folder is open again")
    await taken.has(*MAILS)


async def test_mail_that_search_does_not_find_at_once_is_looked_for_again(
    server: ScriptedServer, taken: Intake
) -> None:
    late, silent = mail("late"), 2
    await taken.start(reads(server, poll=1))
    await taken.has(*MAILS)

    def lagging(tag: str, command: str) -> bytes | None:
        nonlocal silent
        silent -= 1
        return f"* SEARCH\r\n{tag} OK done\r\n".encode() if silent >= 0 else None

    server.answers["UID SEARCH"] = lagging
    server.answers["NOOP"] = lambda tag, _command: f"* {len(server.mails)} EXISTS\r\n{tag} OK done\r\n".encode()
    server.mails[6] = late
    await taken.has(*MAILS, late)
