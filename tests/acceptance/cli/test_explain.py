"""``ingest explain``: what would happen to a mail, and why, without anything happening."""

import json
from pathlib import Path
from typing import Any

import pytest

from ingest.cli.exit_codes import ExitCode
from ingest.model.teachers import Teacher
from ingest.sandbox import Sandbox
from ingest.store.opening import open_store
from tests.support.commands import Shell, Told, run_beside
from tests.support.fixture_mails import SANDBOX

TICKET = "cm7y0q4kt000q5gneqf0tbspg"
REPLY = (
    b"From: Alice <alice@customer.example>\r\nTo: help@mail.ravenna.example\r\nSubject: Re: [TAI-42] hello\r\n"
    b"Date: Mon, 05 Oct 2026 11:00:00 +0200\r\nMessage-ID: <r1@customer.example>\r\n"
    b"In-Reply-To: <tai-42-1@mail.ravenna.example>\r\nReferences: <x@y.example> <tai-42-1@mail.ravenna.example>\r\n"
    b"\r\nIt works.\r\n\r\nOn Mon, 5 Oct 2026 at 10:00, Help <help@mail.ravenna.example> wrote:\r\n> Does it?\r\n"
)
EVIL = (
    b"From: <script@x.example>\r\nTo: help@mail.ravenna.example\r\nSubject: =?utf-8?q?=1B=5B2J<script>?=\r\n"
    b"Message-ID: <\x1b[2J@x.example>\r\n\r\n\x1b[2J<script>alert(1)</script>\x9b\r\n\r\n> <b>quoted</b>\x07\r\n"
)


@pytest.fixture
def ingest(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Shell:
    return Shell(capsys, {"INGEST_DATABASE_URL": f"sqlite:///{tmp_path}/ingest.db", "INGEST_PARSE_CHILDREN": "1"})


@pytest.fixture
def reply(tmp_path: Path) -> Path:
    path = tmp_path / "reply.eml"
    path.write_bytes(REPLY)
    return path


def explained(told: Told) -> dict[str, Any]:
    assert told.err == ""
    (line,) = told.out.splitlines()
    result: dict[str, Any] = json.loads(line)
    return result


def test_the_object_has_the_documented_keys_and_no_other(ingest: Shell, reply: Path) -> None:
    result = explained(ingest("explain", "--json", reply))
    assert {name: set(part) if isinstance(part, dict) else part for name, part in result.items()} == {
        "path": str(reply),
        "message": {
            *("message_id", "in_reply_to", "references", "from", "to", "subject", "date", "body", "attachments"),
            "defects",
        },
        "reply": {"content", "elided", "confidence", "how"},
        "resolution": {"ticket_id", "conflict", "evidence"},
        "trust": {
            *("who", "authentication", "domain", "reason", "evidence_level", "treatment"),
            *("flag", "from_machine", "mode", "other_mode"),
        },
        "outcome": {"state", "rule", "reason"},
    }


def test_without_database_and_api_it_says_what_the_mail_says_and_what_was_not_looked_up(
    ingest: Shell, reply: Path, tmp_path: Path
) -> None:
    result = explained(ingest("explain", "--json", reply))
    message = result["message"]
    assert (message["message_id"], message["in_reply_to"]) == ("r1@customer.example", ["tai-42-1@mail.ravenna.example"])
    assert (message["from"], message["subject"]) == (["alice@customer.example"], "Re: [TAI-42] hello")
    assert result["reply"]["content"] == "It works."
    assert "Does it?" in result["reply"]["elided"]
    assert "Does it?" in message["body"]
    assert result["resolution"]["ticket_id"] is None
    assert "not looked up: RAVENNA_API_TOKEN is not set" in [e["note"] for e in result["resolution"]["evidence"]]
    assert result["outcome"]["state"] == "waiting"
    assert not (tmp_path / "ingest.db").exists()


def test_a_signed_address_needs_neither(ingest: Shell, tmp_path: Path) -> None:
    settings = {"INGEST_SIGNING_KEY": "0123456789abcdef0123456789abcdef", "INGEST_DOMAINS": "mail.ravenna.example"}
    address = json.loads(ingest("address", TICKET, "--json", **settings).out)["reply_to"]
    path = tmp_path / "signed.eml"
    path.write_bytes(REPLY.replace(b"help@mail.ravenna.example\r\nSub", address.encode() + b"\r\nSub"))
    result = explained(ingest("explain", "--json", path, **settings))
    assert (result["resolution"]["ticket_id"], result["outcome"]["state"]) == (TICKET, "delivered")
    assert result["resolution"]["evidence"][0]["strength"] == "proof"


def test_mail_for_a_domain_that_is_not_ours_is_told_where_ours_are_set(ingest: Shell, reply: Path) -> None:
    result = explained(ingest("explain", "--json", reply, INGEST_DOMAINS="other.example"))
    assert (result["outcome"]["state"], result["outcome"]["rule"]) == ("quarantined", "recipient")
    assert result["reply"]["content"] == "It works."


async def test_the_configured_database_and_api_are_asked_and_nothing_is_posted(tmp_path: Path, reply: Path) -> None:
    url = f"sqlite:///{tmp_path}/ingest.db"
    async with Sandbox(data=SANDBOX) as sandbox:
        async with open_store(url) as store:
            await store.learn("x@y.example", TICKET, learned_from=Teacher.OPERATOR, now=1.0)
        told = await run_beside(
            "explain",
            "--json",
            reply,
            INGEST_DATABASE_URL=url,
            RAVENNA_API_URL=sandbox.url,
            RAVENNA_API_TOKEN=sandbox.token,
        )
        posts = list(sandbox.state.posts)
    result = explained(told)
    assert (result["resolution"]["ticket_id"], result["outcome"]["state"]) == (TICKET, "delivered")
    assert ("references", "strong") in [(e["signal"], e["strength"]) for e in result["resolution"]["evidence"]]
    assert posts == []


def test_people_read_evidence_verdict_content_and_what_was_cut(ingest: Shell, reply: Path) -> None:
    told = ingest("explain", reply).out
    assert "| It works." in told
    assert "- > Does it?" in told
    assert "verdict:     waiting: it waits for" in told
    assert "in-reply-to        tai-42-1@mail.ravenna.example -> no ticket" in told


@pytest.mark.parametrize("form", [(), ("--json",), ("--html",)], ids=str)
def test_nothing_that_is_printed_carries_a_control_character_of_the_mail(
    ingest: Shell, tmp_path: Path, form: tuple[str, ...]
) -> None:
    path = tmp_path / "evil.eml"
    path.write_bytes(EVIL)
    told = ingest("explain", *form, path)
    assert told.code == 0
    assert not {"\x1b", "\x07", "\x9b"} & set(told.out)


def test_the_page_greys_what_was_cut_and_runs_nothing(ingest: Shell, tmp_path: Path, reply: Path) -> None:
    path = tmp_path / "evil.eml"
    path.write_bytes(EVIL)
    page = ingest("explain", "--html", reply, path).out
    assert page.count("<section>") == 2
    assert '<span class="cut"' in page
    assert page.index("It works.") < page.index('<span class="cut"') < page.index("&gt; Does it?")
    assert "<script>" not in page
    assert "default-src 'none'" in page


def test_each_mail_of_a_folder_is_explained_in_order(ingest: Shell, tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.eml").write_bytes(REPLY.replace(b"<r1@", b"<r%d@" % number))
    told = ingest("explain", "--json", tmp_path)
    ids = [json.loads(line)["message"]["message_id"] for line in told.out.splitlines()]
    assert ids == [f"r{number}@customer.example" for number in range(5)]


def test_octets_that_are_no_mail_are_explained_too(ingest: Shell, tmp_path: Path) -> None:
    path = tmp_path / "noise.eml"
    path.write_bytes(bytes(range(256)))
    assert explained(ingest("explain", "--json", path))["outcome"]["state"] == "quarantined"


def test_a_path_that_is_not_there_and_a_mail_above_the_limit_are_told(ingest: Shell, tmp_path: Path) -> None:
    told = ingest("explain", tmp_path / "gone")
    assert (told.code, told.complaint) == (ExitCode.NOT_FOUND, f"ingest: {tmp_path}/gone: no such file or folder")
    (tmp_path / "big.eml").write_bytes(b"x" * 70_000)
    told = ingest("explain", tmp_path / "big.eml", INGEST_MAX_MESSAGE_BYTES="65536")
    assert told.code == ExitCode.PERSON_NEEDED
    assert "INGEST_MAX_MESSAGE_BYTES" in told.complaint
