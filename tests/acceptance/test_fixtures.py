"""Every mail of ``fixtures/mails`` through the real pipeline: parsing processes, store, and the API's stand-in."""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from ingest.app import Engine
from ingest.cli.dry_run import Explanation
from ingest.cli.explain import facts
from ingest.decision import Decision
from ingest.model.envelope import ReceivedMessage, SourceRef
from ingest.model.message import Reply
from ingest.sandbox import Sandbox
from ingest.sources.smtp.trace import received_field
from ingest.store import MessageRecord
from tests.support.engine import environment, started, told_by
from tests.support.factories import queued
from tests.support.fixture_mails import SANDBOX, FixtureMail, Result, differences, load
from tests.support.work import work_until_idle

pytestmark = pytest.mark.xdist_group("fixtures")

TRACE_FIELD = received_field(
    helo="mx.customer.example",
    client="192.0.2.1",
    hostname="mx1.mail.ravenna.example",
    with_protocol="ESMTP",
    recipient=None,
    received_at=1791875534.0,
)
EXPLAINED = ("resolution", "outcome")
NO_REPLY = Reply(content="", elided="", method="")
ALL = load()
BY_NAME = {mail.name: mail for mail in ALL}
ALONE = [mail for mail in ALL if not mail.after]
IN_ORDER = [mail for mail in ALL if mail.after]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Result]:
    """What became of each mail, by its name."""
    return asyncio.run(_tell_all(tmp_path_factory.mktemp("fixtures")))


@pytest.fixture(scope="module")
def told_below_trace(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Result]:
    """What becomes of each mail when it comes by SMTP, which puts our Received field on top of its octets."""
    return asyncio.run(_tell(ALONE, tmp_path_factory.mktemp("below-trace"), on_top=TRACE_FIELD))


@pytest.mark.parametrize("mail", ALL, ids=lambda mail: mail.name)
def test_the_mail_ends_as_expected(mail: FixtureMail, told: Mapping[str, Result]) -> None:
    found = differences(mail.expected, told[mail.name])
    assert not found, "\n".join([str(mail.expected["why"]), *found])


@pytest.mark.parametrize("mail", ALONE, ids=lambda mail: mail.name)
def test_the_mail_ends_the_same_below_our_trace_field(
    mail: FixtureMail, told_below_trace: Mapping[str, Result]
) -> None:
    found = differences(mail.expected, told_below_trace[mail.name])
    assert not found, "\n".join([str(mail.expected["why"]), *found])


@pytest.mark.parametrize("mail", ALL, ids=lambda mail: mail.name)
def test_the_mail_says_why_it_is_here(mail: FixtureMail) -> None:
    assert str(mail.expected["why"]).endswith(".")
    assert {"state"} <= mail.expected["outcome"].keys()


@pytest.mark.parametrize("mail", ALONE, ids=lambda mail: mail.name)
def test_extraction_loses_nothing_of_the_body(mail: FixtureMail, told: Mapping[str, Result]) -> None:
    body = told[mail.name]["message"]["body"]
    assert body == "".join(told[mail.name]["segments"])
    assert bool(told[mail.name]["reply"]["content"]) == bool(body.strip())


@pytest.mark.parametrize("mail", ALL, ids=lambda mail: mail.name)
def test_nothing_out_of_a_header_can_write_on_a_terminal(mail: FixtureMail, told: Mapping[str, Result]) -> None:
    message = told[mail.name]["message"]
    shown = [message.get("subject", ""), *message.get("from", ()), *message.get("to", ())]
    shown += [attachment["filename"] for attachment in message.get("attachments", ())]
    assert all(word.isprintable() for word in shown), shown


def test_the_command_explains_the_same(told: Mapping[str, Result], explained: Mapping[str, Result]) -> None:
    for name, printed in explained.items():
        assert {part: printed[part] for part in EXPLAINED} == {part: told[name][part] for part in EXPLAINED}


@pytest.fixture(scope="module")
def explained(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Result]:
    """What `ingest explain` prints of the mails that need no more than their file."""
    return asyncio.run(_run_explain(tmp_path_factory.mktemp("explained") / "none.db"))


async def _run_explain(database: Path) -> dict[str, Result]:
    mails = [mail for mail in ALONE if not mail.expected.keys() & {"envelope", "settings"}]
    async with Sandbox(data=SANDBOX) as sandbox:
        printed = await told_by(environment(sandbox, database), "explain", *(str(mail.path) for mail in mails))
    return {mail.name: told for mail, told in zip(mails, printed, strict=True)}


async def _tell_all(folder: Path) -> dict[str, Result]:
    told = await _tell(ALONE, folder)
    async with started(folder / "in-order.db") as (engine, sandbox):
        await _take_in(engine, _predecessors(IN_ORDER))
        for mail in IN_ORDER:
            (record,) = await _take_in(engine, [mail])
            told[mail.name] = _recorded(record, sandbox)
    return told


async def _tell(mails: Sequence[FixtureMail], folder: Path, on_top: bytes = b"") -> dict[str, Result]:
    """What would become of these mails, each alone."""
    told: dict[str, Result] = {}
    for number, author in enumerate({mail.fallback_author for mail in mails}):
        async with started(folder / f"{number}.db", INGEST_FALLBACK_AUTHOR_ID=author) as (engine, _sandbox):
            for mail in (mail for mail in mails if mail.fallback_author == author):
                decision = await engine.pipeline.decide(queued(envelope=mail.envelope), on_top + mail.content)
                told[mail.name] = _explain(mail, decision)
    return told


def _predecessors(mails: Iterable[FixtureMail]) -> list[FixtureMail]:
    return [BY_NAME[name] for name in dict.fromkeys(name for mail in mails for name in mail.after)]


async def _take_in(engine: Engine, mails: Iterable[FixtureMail]) -> list[MessageRecord]:
    """Through store and worker, one after the other."""
    records = []
    for mail in mails:
        message = ReceivedMessage(
            envelope=mail.envelope,
            content=mail.content,
            source_ref=SourceRef(source="replay"),
            received_at=time.time(),
        )
        queue_id = await engine.receiver.receive(message)
        await work_until_idle(engine.worker)
        record = await engine.store.message(queue_id)
        assert record is not None
        records.append(record)
    return records


def _explain(mail: FixtureMail, decision: Decision) -> Result:
    """The decision as `ingest explain --json` prints it, with what would be posted beside it."""
    reply = decision.reply or NO_REPLY
    explained = facts(Explanation(path=mail.name, size_bytes=len(mail.content), decision=decision, reply=reply))
    told: dict[str, Any] = {**explained, "segments": [segment.text for segment in reply.segments]}
    if decision.draft is not None:
        told["post"] = asdict(decision.draft)
    return told


def _recorded(record: MessageRecord, sandbox: Sandbox) -> Result:
    """What the store and the API know of a mail that went all the way."""
    posted = sandbox.state.messages.get(record.ticket_message_id or "", {})
    return {
        "message": {"message_id": record.message_id, "subject": record.subject},
        "resolution": {"ticket_id": record.ticket_id},
        "outcome": {"state": str(record.state), "rule": record.rule},
        "reply": {"content": posted.get("content", "")},
    }
