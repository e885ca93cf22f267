"""What commands tell of the trust in a sender: explain, messages show and list, check; release in another's name."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from ingest.cli.check_trust import server_results
from ingest.cli.exit_codes import ExitCode
from ingest.config.settings import load
from ingest.model.envelope import Envelope, ReceivedMessage, SourceRef
from ingest.model.outcome import Delivered, Outcome, Quarantined, RuleName
from ingest.model.trust import Authentication, AuthenticationResult, EvidenceLevel, Treatment, Trust, Who
from ingest.store import Findings
from ingest.store.opening import open_store
from tests.support.commands import Shell
from tests.support.decisions import as_toml, table_in_settings

TICKET = "cm7y0q4kt000q5gneqf0tbspg"
MAIL = (
    f"From: alice@customer.example\r\nTo: help+TAI-{TICKET}@mail.ravenna.example\r\n"
    "Subject: Re: hello\r\nMessage-ID: <r1@customer.example>\r\n\r\nIt works.\r\n"
).encode()
HELD = Quarantined(rule=RuleName.GUESSABLE_ADDRESS, reason="only an address that anybody can guess names the ticket")
POSTED = Delivered(ticket_id=TICKET, ticket_message_id="M1")


@pytest.fixture
def database(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/ingest.db"


@pytest.fixture
def ingest(capsys: pytest.CaptureFixture[str], database: str) -> Shell:
    return Shell(capsys, {"INGEST_DATABASE_URL": database})


def trust(who: Who, result: AuthenticationResult, level: EvidenceLevel, treatment: Treatment) -> Trust:
    known = Authentication(result=result, domain="customer.example", reason="it has no signature")
    return Trust(who=who, authentication=known, level=level, treatment=treatment)


FLAGGED = trust(
    Who.ON_TICKET, AuthenticationResult.NOTHING_KNOWN, EvidenceLevel.SIGNED_OR_KNOWN, Treatment.POST_FLAGGED
)
STRANGER = trust(Who.API_USER, AuthenticationResult.PROVEN, EvidenceLevel.GUESSABLE, Treatment.QUARANTINE)


def stored(database: str, *mails: tuple[Trust | None, Outcome], flag: str = "", first: int = 0) -> list[str]:
    """Queue ids of mails of which a cell was stored and that came to these ends, numbered from ``first``."""

    async def work() -> list[str]:
        async with open_store(database) as store:
            for number, (cell, outcome) in enumerate(mails, first):
                message = ReceivedMessage(
                    envelope=Envelope(mail_from="alice@customer.example", rcpt_tos=("help@mail.ravenna.example",)),
                    content=MAIL,
                    source_ref=SourceRef(source="smtp:25"),
                    received_at=1_700_000_000.0 + number,
                )
                await store.receive(message, queue_id=f"Q{number}", dedupe_key=f"key-{number}")
                (queued,) = await store.claim(limit=1, now=message.received_at, lease=60)
                findings = Findings(
                    message_id=f"{number}@customer.example",
                    content_digest="d",
                    ticket_id=TICKET,
                    subject="hello",
                    sender="alice@customer.example",
                    trust=cell,
                    flag=flag,
                )
                await store.identify(queued.queue_id, queued.lease_token, findings, now=message.received_at)
                await store.settle(queued.queue_id, queued.lease_token, outcome, now=message.received_at)
        return [f"Q{number}" for number in range(first, first + len(mails))]

    return asyncio.run(work())


def rows(printed: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in printed.splitlines()]


# explain


@pytest.fixture
def reply(tmp_path: Path) -> Path:
    path = tmp_path / "reply.eml"
    path.write_bytes(MAIL)
    return path


def test_explain_tells_the_cell_and_what_the_other_mode_would_do(ingest: Shell, reply: Path) -> None:
    (told,) = rows(ingest("explain", "--json", reply, INGEST_FALLBACK_AUTHOR_ID="fallback").out)
    decided = told["trust"]
    assert (decided["who"], decided["authentication"], decided["evidence_level"]) == (
        "on-ticket",
        "nothing-known",
        "guessable",
    )
    assert (decided["treatment"], decided["mode"]) == ("note-fallback", "required")
    assert decided["other_mode"] == {"mode": "advisory", "treatment": "post"}
    assert told["outcome"]["reason"] == f"it would be posted to ticket {TICKET} as a private note of fallback"


def test_explain_tells_it_in_words(ingest: Shell, reply: Path) -> None:
    lines = ingest("explain", reply, INGEST_AUTHENTICATION="advisory").out.splitlines()
    told = [line.split(maxsplit=1)[1] for line in lines if line.startswith(("sender:", "treatment:"))]
    assert told[0].startswith("on-ticket: The ticket's requester")
    assert told[1] == "post: Posted as a message of the sender."
    assert any("with INGEST_AUTHENTICATION=required: note-fallback: " in line for line in lines)


def test_explain_tells_it_on_the_page(ingest: Shell, reply: Path) -> None:
    page = ingest("explain", "--html", reply).out
    assert "<dt>treatment<dd>note-fallback" in page
    assert "<dt>if advisory<dd>post" in page


# The store


def test_a_stored_verdict_is_shown_in_words(ingest: Shell, database: str) -> None:
    (queue_id,) = stored(database, (FLAGGED, POSTED), flag="nothing proves its sender")
    told = ingest("messages", "show", queue_id).out
    assert "nothing-known: customer.example: it has no signature" in told
    assert "post-flagged: Posted as a message of the sender, unchanged" in told
    shown = rows(ingest("messages", "show", queue_id, "--json").out)[0]
    assert shown["trust"] == {
        "who": "on-ticket",
        "authentication": "nothing-known",
        "domain": "customer.example",
        "reason": "it has no signature",
        "evidence_level": "signed-or-known",
        "treatment": "post-flagged",
    }


def test_a_flagged_message_is_marked_in_the_list(ingest: Shell, database: str) -> None:
    stored(database, (FLAGGED, POSTED), flag="nothing proves its sender")
    assert "flagged: nothing proves its sender" in ingest("messages", "list").out
    assert rows(ingest("messages", "list", "--json").out)[0]["flag"] == "nothing proves its sender"


def test_the_flagged_messages_can_be_listed_alone(ingest: Shell, database: str) -> None:
    stored(database, (FLAGGED, POSTED), flag="nothing proves its sender")
    stored(database, (STRANGER, HELD), first=1)
    assert [row["queue_id"] for row in rows(ingest("messages", "list", "--flagged", "--json").out)] == ["Q0"]
    assert len(rows(ingest("messages", "list", "--json").out)) == 2


def test_a_message_without_a_verdict_is_shown_without_one(ingest: Shell, database: str) -> None:
    (queue_id,) = stored(database, (None, HELD))
    assert "treatment" not in ingest("messages", "show", queue_id).out
    assert rows(ingest("messages", "show", queue_id, "--json").out)[0]["trust"]["treatment"] is None


def test_a_release_in_somebody_s_name_is_remembered(ingest: Shell, database: str) -> None:
    (queue_id,) = stored(database, (STRANGER, HELD))
    assert ingest("messages", "release", queue_id, "--author", "sam@support.example", "--by", "olga").code == 0
    shown = rows(ingest("messages", "show", queue_id, "--json").out)[0]
    assert (shown["released_by"], shown["released_author"]) == ("olga", "sam@support.example")
    assert shown["history"][-1]["detail"] == "by olga as sam@support.example"


# check


def test_check_warns_of_advisory(ingest: Shell) -> None:
    told = rows(ingest("check", "--json", INGEST_AUTHENTICATION="advisory").out)
    assert any(row["level"] == "warning" and "INGEST_AUTHENTICATION is advisory" in row["text"] for row in told)
    assert "is advisory" not in ingest("check").out


def test_check_counts_what_a_switch_would_change(ingest: Shell, database: str) -> None:
    stored(database, (FLAGGED, POSTED), (FLAGGED, POSTED), (STRANGER, HELD), (None, HELD))
    told = [
        row["text"]
        for row in rows(ingest("check", "--authentication", "--json").out)
        if row["what"] == "authentication"
    ]
    assert told == [
        "2 of on-ticket, nothing-known, signed-or-known: post-flagged would become post",
        "INGEST_AUTHENTICATION=advisory would treat 2 of 3 stored mails otherwise; of 1 more no decision is stored",
    ]


def test_a_hole_in_the_table_is_refused_with_the_cell_named(ingest: Shell, reply: Path, tmp_path: Path) -> None:
    table = table_in_settings()
    del table["unknown"]["proven"]["guessable"]
    config = tmp_path / "ingest.toml"
    config.write_text(as_toml(table))
    for command in (("explain", reply), ("serve", "--sandbox")):
        told = ingest(*command, INGEST_CONFIG=str(config))
        assert told.code == ExitCode.USAGE
        assert "decision.unknown.proven.guessable: the cell is missing" in told.err
    checked = rows(ingest("check", "--json", INGEST_CONFIG=str(config)).out)
    assert any(row["level"] == "error" and "decision.unknown.proven.guessable" in row["text"] for row in checked)


def test_check_tells_whose_results_are_believed(tmp_path: Path) -> None:
    file = tmp_path / "ingest.toml"
    accounts = ("a", "imap.gmail.com"), ("b", "imap.example")
    file.write_text(
        "\n".join(
            f'[[imap]]\nname = "{name}"\nhost = "{host}"\nuser = "a@b.example"\npassword = "x"\n'
            for name, host in accounts
        )
    )
    settings = load({"INGEST_CONFIG": str(file), "INGEST_AUTHSERV_IDS": "mx.ours.example"})
    relay, google, other = server_results(settings)
    assert "mx.ours.example" in relay.text
    assert "INGEST_SMTP_RELAYS" in relay.text
    assert (google.level, "google" in google.text) == ("ok", True)
    assert (other.level, "authserv_ids" in other.text) == ("warning", True)
    assert list(server_results(load({}))) == []
