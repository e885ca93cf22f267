"""Commands that look into the store, and decide about what is stuck."""

import asyncio
import json
import os
import pty
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import apsw
import pytest

from ingest.cli.exit_codes import ExitCode
from ingest.model.envelope import Envelope, ReceivedMessage, SourceRef
from ingest.model.outcome import (
    Deferred,
    Delivered,
    Evidence,
    Outcome,
    Quarantined,
    RuleName,
    Signal,
    Strength,
    Waiting,
)
from ingest.store import Findings
from ingest.store.controls import Control
from ingest.store.messages import Store
from ingest.store.opening import open_store
from tests.support.commands import ROOT, Shell, run
from tests.support.measured import MEASURED

T = TypeVar("T")
ESCAPE = "\x1b[2J\x07"
TICKET = "cm7y0q4kt000q5gneqf0tbspg"
QUARANTINED = Quarantined(rule=RuleName.WEAK_EVIDENCE, reason="only its subject names a ticket")


@pytest.fixture
def database(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/ingest.db"


@pytest.fixture
def ingest(capsys: pytest.CaptureFixture[str], database: str) -> Shell:
    return Shell(capsys, {"INGEST_DATABASE_URL": database})


def with_store(database: str, work: Callable[[Store], Awaitable[T]]) -> T:
    async def worked() -> T:
        async with open_store(database) as store:
            return await work(store)

    return asyncio.run(worked())


def stored(database: str, *outcomes: Outcome, content: bytes = b"From: a@b.example\r\n\r\nhi\r\n") -> list[str]:
    """Queue ids of mails that came to these ends; what a stranger wrote in them tries to clear the screen."""

    async def work(store: Store) -> list[str]:
        return [await _store_one(store, number, outcome, content) for number, outcome in enumerate(outcomes)]

    return with_store(database, work)


async def _store_one(store: Store, number: int, outcome: Outcome, content: bytes) -> str:
    message = ReceivedMessage(
        envelope=Envelope(mail_from="alice@customer.example", rcpt_tos=("help@mail.ravenna.example",)),
        content=content,
        source_ref=SourceRef(source="smtp:25"),
        received_at=1_700_000_000.0 + number,
    )
    queue_id = await store.receive(message, queue_id=f"Q{number}", dedupe_key=f"key-{number}")
    (queued,) = await store.claim(limit=1, now=message.received_at, lease=60)
    await store.identify(
        queue_id,
        queued.lease_token,
        Findings(
            message_id=f"{number}@customer.example",
            content_digest=str(number),
            ticket_id=TICKET if isinstance(outcome, Delivered) else None,
            subject=f"Hello {ESCAPE}",
            sender=f"a{ESCAPE}@customer.example",
            evidence=(Evidence(signal=Signal.SUBJECT_TAG, value="[TAI-42]", ticket_id=TICKET, strength=Strength.WEAK),),
        ),
        now=1_000_000.0,
    )
    await store.settle(queue_id, queued.lease_token, outcome, now=message.received_at + 1)
    return queue_id


def delivered(number: int = 0) -> Delivered:
    return Delivered(ticket_id=TICKET, ticket_message_id=f"posted-{number}")


def rows(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def on_a_terminal(words: Sequence[str], database: str) -> str:
    """What a command writes when its standard output is a terminal."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "ingest", *words]
    environment = {"PATH": os.environ["PATH"], **MEASURED, "INGEST_DATABASE_URL": database, "TERM": "dumb"}
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment, cwd=ROOT) as process:
        os.close(theirs)
        written = b""
        while True:
            try:
                piece = os.read(ours, 65_536)
            except OSError:  # Linux: the other end is closed
                break
            written += piece
        process.wait()
    os.close(ours)
    return written.decode()


# Making the database


def test_migrate_makes_the_database_once(ingest: Shell) -> None:
    assert "applied 0001" in ingest("migrate").out
    assert ingest("migrate").out.endswith("is up to date\n")


def test_a_folder_that_may_not_be_written_is_one_line(ingest: Shell) -> None:
    told = ingest("migrate", INGEST_DATABASE_URL="sqlite:////proc/ingest/ingest.db")
    assert told.code == ExitCode.UNAVAILABLE
    assert "INGEST_DATABASE_URL" in told.complaint


# Looking


def test_mails_are_listed_the_latest_first_and_by_state(ingest: Shell, database: str) -> None:
    stored(database, delivered(), QUARANTINED, Waiting(missing=("x@y.example",)))
    assert [row["queue_id"] for row in rows(ingest("messages", "list", "--json").out)] == ["Q2", "Q1", "Q0"]
    assert [row["queue_id"] for row in rows(ingest("messages", "list", "--json", "--limit", "1").out)] == ["Q2"]
    assert [row["queue_id"] for row in rows(ingest("messages", "list", "--json", "--before", "Q1").out)] == ["Q0"]
    (stuck,) = rows(ingest("messages", "list", "--json", "--state", "quarantined").out)
    assert (stuck["state"], stuck["rule"], stuck["received_at"]) == (
        "quarantined",
        "weak-evidence",
        "2023-11-14T22:13:21+00:00",
    )


def test_a_list_for_people_has_a_line_for_each_mail_and_says_why(ingest: Shell, database: str) -> None:
    stored(database, delivered(), QUARANTINED)
    header, first, second = ingest("messages", "list").out.splitlines()
    assert header.startswith("queue id")
    assert first.endswith("weak-evidence: only its subject names a ticket")
    assert TICKET in second


def test_one_mail_is_shown_with_its_evidence_and_its_history(ingest: Shell, database: str) -> None:
    (queue_id,) = stored(database, Waiting(missing=("x@y.example",)))
    (shown,) = rows(ingest("messages", "show", queue_id, "--json").out)
    assert shown["evidence"][0]["signal"] == "subject-tag"
    assert shown["history"][0]["number"] == 1
    assert shown["waiting_for"] == ["x@y.example"]
    told = ingest("messages", "show", queue_id).out
    assert "subject-tag" in told
    assert "x@y.example" in told


def test_one_mail_is_shown_with_what_became_of_its_attachments(ingest: Shell, database: str) -> None:
    (queue_id,) = stored(database, delivered())
    assert "not uploaded" not in ingest("messages", "show", queue_id).out
    with apsw.Connection(database.removeprefix("sqlite:///")) as connection:
        connection.execute(
            "INSERT INTO uploads SELECT seq, 2, 'digest', ?, 'alice', NULL, 'larger than 26.2 MB' FROM messages",
            (TICKET,),
        )
    (shown,) = rows(ingest("messages", "show", queue_id, "--json").out)
    reason = "larger than 26.2 MB"
    assert shown["attachments"] == [{"part": 2, "ticket_id": TICKET, "attachment_id": None, "reason": reason}]
    assert reason in ingest("messages", "show", queue_id).out


@pytest.mark.parametrize("words", [("show", "Q9"), ("raw", "Q9")], ids=" ".join)
def test_a_mail_that_is_not_there_is_told(ingest: Shell, database: str, words: tuple[str, ...]) -> None:
    stored(database, delivered())
    told = ingest("messages", *words)
    assert told.code == ExitCode.NOT_FOUND
    assert told.complaint == "ingest: there is no message Q9; `ingest messages list` shows them"


def test_raw_writes_the_octets_as_they_came(tmp_path: Path, database: str) -> None:
    content = bytes(range(256)) * 300
    (queue_id,) = stored(database, delivered(), content=content)
    with open(tmp_path / "raw", "wb") as file:
        command = [sys.executable, "-m", "ingest", "messages", "raw", queue_id]
        subprocess.run(command, stdout=file, env={"INGEST_DATABASE_URL": database}, cwd=ROOT, check=True)
    assert (tmp_path / "raw").read_bytes() == content


@pytest.mark.parametrize("words", [("list",), ("show", "Q0"), ("raw", "Q0")], ids=" ".join)
def test_a_terminal_never_sees_a_control_character_of_a_stranger(database: str, words: tuple[str, ...]) -> None:
    stored(database, QUARANTINED, content=f"Subject: {ESCAPE}\r\n\r\n{ESCAPE}\x9b2J\r\n".encode())
    written = on_a_terminal(("messages", *words), database)
    assert "\\x1b[2J\\x07" in written
    assert not {"\x1b", "\x07", "\x9b"} & set(written)


# Deciding


def test_what_is_stuck_is_tried_again_and_the_history_says_who_wanted_it(ingest: Shell, database: str) -> None:
    (queue_id,) = stored(database, QUARANTINED)
    assert ingest("messages", "retry", queue_id, "--by", "carol").out == f"{queue_id} queued again\n"
    (shown,) = rows(ingest("messages", "show", queue_id, "--json").out)
    assert shown["state"] == "queued"
    assert "carol" in shown["history"][-1]["detail"]


def test_a_released_mail_remembers_who_let_it_pass_and_where_to(ingest: Shell, database: str) -> None:
    (queue_id,) = stored(database, QUARANTINED)
    assert ingest("messages", "release", queue_id, "--ticket", "TAI-42", "--by", "carol").code == 0
    (shown,) = rows(ingest("messages", "show", queue_id, "--json").out)
    assert (shown["state"], shown["released_by"]) == ("queued", "carol")
    assert "TAI-42" in shown["history"][-1]["detail"]


def test_a_discarded_mail_says_why_and_comes_back_by_retry(ingest: Shell, database: str) -> None:
    (queue_id,) = stored(database, QUARANTINED)
    ingest("messages", "discard", queue_id, "--reason", "spam")
    (shown,) = rows(ingest("messages", "show", queue_id, "--json").out)
    assert (shown["state"], shown["reason"]) == ("discarded", "spam")
    assert ingest("messages", "retry", queue_id).code == 0


def test_what_is_not_possible_for_one_mail_does_not_stop_the_others(ingest: Shell, database: str) -> None:
    done, stuck = stored(database, delivered(), QUARANTINED)
    told = ingest("messages", "retry", done, "nowhere", stuck)
    assert told.code == ExitCode.FAILED
    assert told.out == f"{stuck} queued again\n"
    assert [line.split()[1] for line in told.err.splitlines()] == [done, "there"]


# The ledger


def test_the_ledger_counts_every_state_and_holds(ingest: Shell, database: str) -> None:
    stored(database, delivered(), QUARANTINED)
    told = ingest("ledger", "--json")
    (counted,) = rows(told.out)
    assert told.code == 0
    assert (counted["accepted"], counted["delivered"], counted["quarantined"], counted["holds"]) == (2, 1, 1, True)
    assert ingest("ledger").out.endswith("It holds.\n")


def test_a_row_that_vanished_shows(ingest: Shell, database: str, tmp_path: Path) -> None:
    stored(database, delivered(), QUARANTINED)
    connection = apsw.Connection(str(tmp_path / "ingest.db"))
    connection.execute("PRAGMA foreign_keys = OFF; DELETE FROM messages WHERE queue_id = 'Q0'")
    connection.close()
    told = ingest("ledger")
    assert told.code == ExitCode.FAILED
    assert "DOES NOT HOLD" in told.out


# Threads


def test_a_message_id_is_added_listed_and_not_changed_without_force(ingest: Shell) -> None:
    ingest("migrate")
    assert ingest("threads", "add", "<1@Mail.Example>", TICKET).out == f"1@mail.example belongs to {TICKET}\n"
    told = ingest("threads", "add", "1@mail.example", "other")
    assert told.code == ExitCode.FAILED
    assert "known already" in told.complaint
    assert ingest("threads", "add", "1@mail.example", "other", "--force").code == 0
    (thread,) = rows(ingest("threads", "list", "--message-id", "<1@mail.example>", "--json").out)
    assert (thread["ticket_id"], thread["learned_from"]) == ("other", "operator")
    assert ingest("threads", "list", "--ticket", "nothing").out.count("\n") == 1


def test_a_mail_that_waits_for_an_id_goes_on_when_it_is_added(ingest: Shell, database: str) -> None:
    stored(database, Waiting(missing=("1@mail.example",)))
    ingest("threads", "add", "1@mail.example", TICKET)
    (record,) = rows(ingest("messages", "list", "--json").out)
    assert record["state"] == "queued"


@pytest.mark.parametrize(
    "lines",
    [
        "message_id,ticket_id\n<1@a.example>,t1\n2@a.example,t2\n",
        '"<1@a.example>", t1\r\n\r\n2@a.example,t2',
        '{"message_id": "<1@a.example>", "ticket_id": "t1"}\n{"ticket_id": "t2", "message_id": "2@a.example", "x": 1}',
    ],
)
def test_many_are_imported_from_csv_or_json_lines_and_twice_does_no_harm(
    ingest: Shell, tmp_path: Path, lines: str
) -> None:
    ingest("migrate")
    file = tmp_path / "threads"
    file.write_text(lines, newline="")
    assert ingest("threads", "import", file).out == "2 learned, 0 known before\n"
    assert ingest("threads", "import", file).out == "0 learned, 2 known before\n"
    known = {row["message_id"]: row["ticket_id"] for row in rows(ingest("threads", "list", "--json").out)}
    assert known == {"1@a.example": "t1", "2@a.example": "t2"}


@pytest.mark.parametrize(
    "bad", ["no-id,t2", "2@a.example", "2@a.example,", '{"message_id": "2@a"}', "{", "2@a.example,t 2,x", "2@a,\x1b"]
)
def test_a_bad_line_is_told_by_its_number_and_nothing_is_learned(ingest: Shell, tmp_path: Path, bad: str) -> None:
    ingest("migrate")
    file = tmp_path / "threads.csv"
    file.write_text(f"1@a.example,t1\n\n{bad}\n")
    told = ingest("threads", "import", file)
    assert told.code == ExitCode.USAGE
    assert told.complaint.startswith(f"ingest: {file}, line 3: write message_id,ticket_id")
    assert rows(ingest("threads", "list", "--json").out) == []


def test_a_file_that_is_not_there_is_told(ingest: Shell, tmp_path: Path) -> None:
    told = ingest("threads", "import", tmp_path / "gone")
    assert told.code == ExitCode.NOT_FOUND
    assert "No such file" in told.complaint


# Checking


def test_check_names_everything_that_is_missing_and_goes_on(ingest: Shell, tmp_path: Path) -> None:
    told = ingest("check", "--json")
    assert told.code == ExitCode.FAILED
    errors = [row["text"].split()[0] for row in rows(told.out) if row["level"] == "error"]
    assert errors == ["RAVENNA_API_TOKEN", "INGEST_DOMAINS"]
    assert any(row["what"] == "database" and row["level"] == "ok" for row in rows(told.out))


def test_check_says_that_the_api_does_not_answer_and_that_a_certificate_is_missing(tmp_path: Path) -> None:
    told = run(
        "check",
        INGEST_DATABASE_URL=f"sqlite:///{tmp_path}/ingest.db",
        RAVENNA_API_TOKEN="x",
        RAVENNA_API_URL="http://127.0.0.1:1/api",
        INGEST_DOMAINS="a.example",
        INGEST_TLS_CERTIFICATE=str(tmp_path / "chain.pem"),
        INGEST_TLS_KEY=str(tmp_path / "key.pem"),
    )
    assert told.code == ExitCode.FAILED
    assert {line.split("\t")[0] for line in told.out.splitlines() if "\terror\t" in line} == {"api", "certificate"}


# Acts on what is queued, and damage


def test_a_queued_mail_is_made_due_now_only_when_it_is_asked_for(ingest: Shell, database: str) -> None:
    (queue_id,) = stored(database, Deferred(reason="503 from the API"))
    refused = ingest("messages", "retry", queue_id)
    assert (refused.code, "retry --now" in refused.complaint) == (ExitCode.FAILED, True)
    assert ingest("messages", "retry", "--now", "--by", "olga", queue_id).out == f"{queue_id} due now\n"
    (found,) = rows(ingest("messages", "show", queue_id, "--json").out)
    assert found["history"][-1]["detail"] == "by olga, at once"


def test_it_is_shown_what_blocks_a_mail_and_what_is_known_of_its_post(ingest: Shell, database: str) -> None:
    (queue_id,) = stored(database, Deferred(reason="503 from the API"))
    (found,) = rows(ingest("messages", "show", queue_id, "--json").out)
    keys = {"blocked_by", "failing_since", "post_in_doubt_since", "post_not_found_at", "looked_for_at"}
    assert keys <= found.keys()


def test_a_command_that_looks_tells_of_an_older_database(ingest: Shell, database: str, tmp_path: Path) -> None:
    stored(database, QUARANTINED)
    connection = apsw.Connection(str(tmp_path / "ingest.db"))
    connection.execute("DELETE FROM migrations WHERE name LIKE '0008%'")
    connection.close()
    told = ingest("ledger")
    assert told.code == ExitCode.UNAVAILABLE
    assert "ingest migrate" in told.complaint


def test_check_looks_for_damage_and_deep_looks_at_the_indexes_too(ingest: Shell, database: str, tmp_path: Path) -> None:
    stored(database, QUARANTINED)
    for words in (("check",), ("check", "--deep")):
        assert "is sound" in ingest(*words).out
    connection = apsw.Connection(str(tmp_path / "ingest.db"))
    connection.execute("CREATE INDEX wrong ON messages (source)")
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("UPDATE sqlite_schema SET sql = replace(sql, 'source', 'mail_from') WHERE name = 'wrong'")
    connection.close()
    assert "is damaged" not in ingest("check").out
    assert "is damaged" in ingest("check", "--deep").out


def test_asking_to_resume_is_kept_for_the_worker(ingest: Shell, database: str) -> None:
    stored(database, QUARANTINED)
    assert ingest("resume", "--by", "olga").code == ExitCode.OK
    assert with_store(database, lambda store: store.take_controls()) == {Control.RESUME: "olga"}
