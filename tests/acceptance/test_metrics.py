"""Every declared metric changes when what it counts happens, as `/metrics` of the real program says."""

import asyncio
import smtplib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import apsw
import httpx
import pytest
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.parser import text_string_to_metric_families

from ingest import metrics, signing
from ingest.app import App
from ingest.sandbox import Fault, Sandbox
from tests.support.engine import started
from tests.support.factories import ALICE, DOMAIN
from tests.support.fixture_mails import SIGNING_KEY
from tests.support.mailboxes import account, faster, intake
from tests.support.mailboxes import mail as imap_mail
from tests.support.pipeline import mail
from tests.support.sandbox_worker import eventually
from tests.support.scripted_imap import scripted

Metric = Counter | Gauge | Histogram
DECLARED = {name: found for name, found in vars(metrics).items() if isinstance(found, Metric)}


@dataclass(frozen=True, kw_only=True)
class Program:
    """A worker as ``ingest serve`` runs it, in this process."""

    app: App
    sandbox: Sandbox
    folder: Path
    stack: AsyncExitStack
    """What is entered here ends with the test."""

    @property
    def smtp(self) -> tuple[str, int]:
        host, _, port = self.app.address(self.app.sources[0]).rpartition(":")
        return host, int(port)

    def submit(self, recipient: str = f"help+TAI-42@{DOMAIN}") -> None:
        with smtplib.SMTP(*self.smtp, timeout=30) as client:
            client.sendmail(ALICE, [recipient], mail())

    async def samples(self, metric: Metric) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """The samples of a metric, as a monitor reads them."""
        assert self.app.web is not None
        [declared] = metric.describe()
        async with httpx.AsyncClient() as client:
            text = (await client.get(f"{self.app.web.url}/metrics")).text
        families = {family.name: family for family in text_string_to_metric_families(text)}
        assert declared.name in families, "each metric is there from the start"
        found = families[declared.name].samples
        return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in found}


@asynccontextmanager
async def running(folder: Path, settings: Mapping[str, str]) -> AsyncIterator[Program]:
    listen = {"INGEST_SMTP_LISTEN": "127.0.0.1:0", "INGEST_HTTP_LISTEN": "127.0.0.1:0"}
    async with started(folder / "ingest.db", **listen, **settings) as (engine, sandbox), AsyncExitStack() as stack:
        app, stop = App(engine), asyncio.Event()
        await app.start()
        work = asyncio.create_task(app.run(stop))
        await app.housekeeping.run_once()
        yield Program(app=app, sandbox=sandbox, folder=folder, stack=stack)
        stop.set()
        await work


# What happens


async def a_mail_is_delivered(program: Program) -> None:
    await asyncio.to_thread(program.submit)


async def a_machine_s_answer_comes(program: Program) -> None:
    def submit() -> None:
        with smtplib.SMTP(*program.smtp, timeout=30) as client:
            client.sendmail(ALICE, [f"help+TAI-42@{DOMAIN}"], b"Auto-Submitted: auto-replied\r\n" + mail())

    await asyncio.to_thread(submit)


async def a_loop_is_likely(program: Program) -> None:
    """A limit of one holds the first mail already."""
    await a_mail_is_delivered(program)

    async def is_paused() -> bool:
        return bool(await program.app.engine.store.paused_threads())

    await eventually(is_paused, "the thread is paused")
    await program.app.housekeeping.run_once()


async def a_mail_whose_sender_is_not_proven_is_posted(program: Program) -> None:
    recipient = signing.sign_address("cm7y0q4kt000q5gneqf0tbspg", DOMAIN, SIGNING_KEY.encode())
    await asyncio.to_thread(program.submit, recipient)


async def a_recipient_is_refused(program: Program) -> None:
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        await asyncio.to_thread(program.submit, "nobody@elsewhere.example")


async def a_client_connects(program: Program) -> None:
    client = await asyncio.to_thread(smtplib.SMTP, *program.smtp, timeout=30)
    program.stack.callback(client.close)


async def the_api_is_down(program: Program) -> None:
    fault = Fault(path="/api/", status=503, times=99)
    async with httpx.AsyncClient() as client:
        await client.post(f"{program.sandbox.page}sandbox/faults", content=f"[{fault.model_dump_json()}]")
    await a_mail_is_delivered(program)


async def the_api_wants_a_pause(program: Program) -> None:
    fault = Fault(path="/api/", status=429, retry_after="3600")
    async with httpx.AsyncClient() as client:
        await client.post(f"{program.sandbox.page}sandbox/faults", content=f"[{fault.model_dump_json()}]")
    await a_mail_is_delivered(program)


async def a_stored_mail_is_lost(program: Program) -> None:
    await a_mail_is_delivered(program)
    await eventually(lambda: bool(program.sandbox.state.posts), "the mail is posted")
    with apsw.Connection(str(program.folder / "ingest.db")) as connection:
        connection.execute("UPDATE counters SET value = value + 1 WHERE name = 'accepted'")
    program.stack.callback(connection.close)


async def a_message_fails_for_long(program: Program) -> None:
    fault = Fault(method="POST", path="/api/ticket-messages", status=500, times=1)
    async with httpx.AsyncClient() as client:
        await client.post(f"{program.sandbox.page}sandbox/faults", content=f"[{fault.model_dump_json()}]")
    await a_mail_is_delivered(program)

    async def is_stuck() -> bool:
        return bool(await program.app.engine.store.pass_stuck(now=time.time() + 1))

    await eventually(is_stuck, "the attempt has failed")
    await program.app.housekeeping.run_once()


async def a_message_is_on_its_ticket_twice(program: Program) -> None:
    await a_mail_is_delivered(program)
    await eventually(lambda: bool(program.sandbox.state.posts), "the mail is posted")
    post = program.sandbox.state.posts[0]
    again = {key: post[key] for key in ("ticketId", "authorId", "content")} | {"source": "EMAIL"}
    async with httpx.AsyncClient(headers={"x-ravenna-api-token": program.sandbox.token}) as client:
        (await client.post(f"{program.sandbox.url}/ticket-messages", json=again)).raise_for_status()
    connection = apsw.Connection(str(program.folder / "ingest.db"))
    connection.set_busy_timeout(5_000)
    program.stack.callback(connection.close)
    delivered = "UPDATE messages SET pair_check_at = 0 WHERE state = 'delivered' RETURNING seq"
    await eventually(lambda: bool(connection.execute(delivered).fetchall()), "the mail is delivered")
    await program.app.housekeeping.run_once()


async def a_mailbox_is_read(program: Program) -> None:
    server = await program.stack.enter_async_context(scripted(imap_mail("one")))
    taken = await program.stack.enter_async_context(intake(program.folder / "imap"))
    await taken.start(account(server, "read@customer.example"))


async def a_mailbox_cannot_be_reached(program: Program) -> None:
    server = await program.stack.enter_async_context(scripted())
    taken = await program.stack.enter_async_context(intake(program.folder / "imap"))
    await taken.start(account(server, "lost@customer.example", port=1))


async def a_mailbox_holds_mail_that_is_not_taken_in(program: Program) -> None:
    server = await program.stack.enter_async_context(scripted(imap_mail("one")))
    taken = await program.stack.enter_async_context(intake(program.folder / "imap"))
    taken.refused = "the backlog is too long"
    await taken.start(account(server, "gap@customer.example"), timing=faster(gap_alarm_seconds=0.2, count_seconds=0.1))


async def a_secret_of_a_mailbox_has_an_end(program: Program) -> None:
    server = await program.stack.enter_async_context(scripted())
    taken = await program.stack.enter_async_context(intake(program.folder / "imap"))
    oauth = {
        "provider": "other",
        "client_id": "client-1",
        "scope": "mail",
        "token_url": "http://127.0.0.1:1/token",
        "flow": "client_credentials",
        "client_secret": "secret",
        "client_secret_ends": "2099-01-20",
    }
    await taken.start(account(server, "ends@customer.example", auth="xoauth2", password=None, oauth=oauth))


EVENTS: Mapping[str, tuple[Callable[[Program], Awaitable[None]], Mapping[str, str]]] = {
    "RECEIVED": (a_mail_is_delivered, {}),
    "REFUSED": (a_recipient_is_refused, {}),
    "CONNECTIONS": (a_client_connects, {}),
    "SETTLED": (a_mail_is_delivered, {}),
    "MESSAGES": (a_mail_is_delivered, {}),
    "OLDEST_QUEUED": (the_api_is_down, {}),
    "LEDGER_HOLDS": (a_stored_mail_is_lost, {}),
    "DISCARDED": (a_machine_s_answer_comes, {}),
    "PAUSES": (a_loop_is_likely, {"INGEST_LOOP_EQUAL": "1"}),
    "PAUSED_THREADS": (a_loop_is_likely, {"INGEST_LOOP_EQUAL": "1"}),
    "STUCK": (a_message_fails_for_long, {"INGEST_ORDER_HOLD": "0.001", "INGEST_RETRY_FIRST": "100"}),
    "DOUBLES": (a_message_is_on_its_ticket_twice, {}),
    "SENDING_STOPPED": (a_mail_is_delivered, {"RAVENNA_API_TOKEN": "a token that the API does not know"}),
    "SENDING_PAUSED": (the_api_wants_a_pause, {}),
    "TREATED": (a_mail_is_delivered, {}),
    "FLAGGED": (a_mail_whose_sender_is_not_proven_is_posted, {"INGEST_AUTHENTICATION": "required"}),
    "API_REQUESTS": (a_mail_is_delivered, {}),
    "API_SECONDS": (a_mail_is_delivered, {}),
    "PARSE_SECONDS": (a_mail_is_delivered, {}),
    "PARSE_KILLED": (a_mail_is_delivered, {"INGEST_PARSE_SECONDS": "0.0001"}),
    "AUTHENTICATED": (a_mail_is_delivered, {}),
    "DNS_FAILURES": (a_mail_is_delivered, {"INGEST_DNS_SERVERS": "127.0.0.1:1"}),
    "DNS_SILENT": (a_mail_is_delivered, {"INGEST_DNS_SERVERS": "127.0.0.1:1"}),
    "DELIVERY_SECONDS": (a_mail_is_delivered, {}),
    "IMAP_CONNECTED": (a_mailbox_is_read, {}),
    "IMAP_FAILURES": (a_mailbox_cannot_be_reached, {}),
    "IMAP_GAP": (a_mailbox_holds_mail_that_is_not_taken_in, {}),
    "IMAP_GAP_SECONDS": (a_mailbox_holds_mail_that_is_not_taken_in, {}),
    "IMAP_CREDENTIAL_ENDS": (a_secret_of_a_mailbox_has_an_end, {}),
}
"""The name of each metric in ``ingest.metrics``, with an event that it counts, and the settings under which it does."""


def test_each_declared_metric_has_an_event_that_changes_it() -> None:
    assert set(EVENTS) == set(DECLARED)


def test_no_metric_is_declared_twice() -> None:
    names = [family.name for metric in DECLARED.values() for family in metric.describe()]
    assert len(set(names)) == len(names) == len(DECLARED)


@pytest.mark.parametrize("name", EVENTS)
async def test_a_metric_changes_when_what_it_counts_happens(name: str, tmp_path: Path) -> None:
    event, settings = EVENTS[name]
    metric = DECLARED[name]
    async with running(tmp_path, settings) as program:
        before = await program.samples(metric)
        await event(program)

        async def has_changed() -> bool:
            return await program.samples(metric) != before

        await eventually(has_changed, f"{name} changes")
