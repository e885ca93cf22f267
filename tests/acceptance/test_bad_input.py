"""Bad input of every kind through a real worker: SMTP in, the stand-in of the API out. Each mail has a clear end,
nothing is lost, and the worker goes on."""

import asyncio
import base64
import hashlib
import io
import random
import re
import smtplib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ingest.model.outcome import State
from ingest.parse import parse
from ingest.store import Ledger, MessageRecord
from ingest.store.opening import open_store
from tests.support.sandbox_worker import DOMAIN, TICKET, World, eventually, new_world, reply

pytestmark = pytest.mark.xdist_group("bad-input")

MiB = 1024 * 1024
HELP = f"help+TAI-{TICKET}@{DOMAIN}"
OTHER_TICKET = "cm7t6rnt9rbxhyutrhkf5hsft"
QUEUED_AS = re.compile(r"queued as (\S+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """A mail that means us no good, and how it has to end."""

    content: bytes
    ends: tuple[State, str]
    """State and rule."""
    sender: str = "alice@customer.example"
    recipient: str = HELP
    posted: str = ""
    """What its ticket message says, where it becomes one."""


@dataclass(slots=True, kw_only=True)
class Aftermath:
    """What the bad input left behind."""

    records: dict[str, MessageRecord] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    posted: dict[str, str] = field(default_factory=dict)
    """The content of each ticket message, by the name of its mail."""
    recipient_replies: list[int] = field(default_factory=list)
    """SMTP reply codes to 20,000 recipients in one transaction."""
    ledger: Ledger | None = None
    worker_runs: bool = False


def mail(*fields: str, body: bytes = b"Text.\r\n", without: tuple[str, ...] = ()) -> bytes:
    """A plain reply of Alice's with these fields added, and those named in ``without`` left out. Its Message-ID is made
    of the fields and the body, so that no two mails here are taken for one."""
    unique = hashlib.sha256("".join(fields).encode() + body).hexdigest()[:16]
    head, _, _ = reply("", name=unique).partition(b"\r\n\r\n")
    kept = [line for line in head.split(b"\r\n") if line.partition(b":")[0].decode() not in without]
    return b"\r\n".join([*kept, *(each.encode("latin-1") for each in fields), b"", body])


def nested(levels: int) -> bytes:
    """``levels`` multiparts, each in the one before."""
    part = "--b{}\r\nContent-Type: multipart/mixed; boundary=b{}\r\n\r\n"
    opening = "".join(part.format(level, level + 1) for level in range(levels - 1))
    text = f"--b{levels - 1}\r\nContent-Type: text/plain\r\n\r\nAt the bottom.\r\n"
    closing = "".join(f"--b{level}--\r\n" for level in reversed(range(levels)))
    body = (opening + text + closing).encode()
    return mail("MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=b0", body=body)


def with_attachment(filename: str, content_type: str, content: bytes) -> bytes:
    """A mail with an attachment of this name."""
    head = (
        f"--b\r\nContent-Type: text/plain\r\n\r\nSee attached.\r\n--b\r\nContent-Type: {content_type}\r\n"
        f'Content-Disposition: attachment; filename="{filename}"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
    )
    body = head.encode() + base64.encodebytes(content).replace(b"\n", b"\r\n") + b"--b--\r\n"
    return mail("MIME-Version: 1.0", 'Content-Type: multipart/mixed; boundary="b"', body=body)


def zip_bomb() -> bytes:
    """A zip file of some 100 KB that says it holds 100 MB of zeros."""
    octets = io.BytesIO()
    with zipfile.ZipFile(octets, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("zeros", "w") as member:
        for _ in range(100):
            member.write(bytes(MiB))
    return octets.getvalue()


BOMB = zip_bomb()
NOISE = random.Random(1).randbytes(5000).replace(b"\n", b"")
RECIPIENTS_20000 = ", ".join(f"reader{number}@customer.example" for number in range(20_000))
DELIVERED = (State.DELIVERED, "")
MALFORMED = (State.QUARANTINED, "malformed")
UNMATCHED = (State.QUARANTINED, "unmatched")

BAD: Mapping[str, Bad] = {
    "octets that are no mail": Bad(content=NOISE, ends=MALFORMED),
    "an empty message": Bad(content=b"", ends=MALFORMED),
    "only line ends": Bad(content=b"\r\n\r\n\r\n", ends=MALFORMED),
    "NUL octets": Bad(
        content=mail("Subject: a\0b", without=("Subject",), body=b"x\0y\0z\r\n"), ends=DELIVERED, posted="xyz"
    ),
    "raw 8-bit headers": Bad(
        content=mail(
            "X-Company: \xc4\xd6\xdc GmbH",
            "Subject: Gr\xfc\xdfe",
            without=("Subject",),
            body="Grüße\r\n".encode("latin-1"),
        ),
        ends=DELIVERED,
        posted="Grüße",
    ),
    "3,000 levels of MIME": Bad(content=nested(3000), ends=MALFORMED),
    "20,000 recipients": Bad(content=mail(f"Cc: {RECIPIENTS_20000}"), ends=DELIVERED, posted="Text."),
    "20,000 recipients, folded": Bad(
        content=mail("Cc: " + RECIPIENTS_20000.replace(", ", ",\r\n ")), ends=DELIVERED, posted="Text."
    ),
    "a header of 1 MB in one field": Bad(content=mail("X-Filler: " + "x" * MiB), ends=DELIVERED, posted="Text."),
    "a header of 1 MB in many fields": Bad(
        content=mail(*(f"X-Filler-{n}: {'x' * 50}" for n in range(16_000))), ends=DELIVERED, posted="Text."
    ),
    "two From fields": Bad(content=mail("From: sam.okafor@support.example"), ends=MALFORMED),
    "two Message-IDs": Bad(content=mail("Message-ID: <second@customer.example>"), ends=DELIVERED, posted="Text."),
    "no Message-ID": Bad(content=mail(body=b"No id.\r\n", without=("Message-ID",)), ends=DELIVERED, posted="No id."),
    "Message-ID of another's mail": Bad(
        content=reply("Bob takes the first's id.", ticket=OTHER_TICKET, sender="bob@customer.example", name="first"),
        sender="bob@customer.example",
        recipient=f"help+TAI-{OTHER_TICKET}@{DOMAIN}",
        ends=DELIVERED,
        posted="Bob takes the first's id.",
    ),
    "../../ in file names": Bad(
        content=with_attachment("../../etc/passwd", "application/octet-stream", b"root"),
        ends=DELIVERED,
        posted="See attached.",
    ),
    "a zip bomb": Bad(
        content=with_attachment("logs.zip", "application/zip", BOMB), ends=DELIVERED, posted="See attached."
    ),
    "a subject that injects a field": Bad(
        content=mail("Subject: =?utf-8?q?a=0D=0ABcc:_victim=40elsewhere.example?=", without=("Subject",)),
        ends=DELIVERED,
        posted="Text.",
    ),
    "a token that injects a field": Bad(
        content=mail(without=("To",), body=b"Token.\r\n"),
        recipient=f'"help+TAI-x%0d%0aBcc: victim"@{DOMAIN}',
        ends=UNMATCHED,
    ),
    "a token that is a path": Bad(
        content=mail(without=("To",), body=b"Path.\r\n"),
        recipient=f'"help+TAI-../users?email=a@b.example"@{DOMAIN}',
        ends=UNMATCHED,
    ),
    "SQL as sender, token and id": Bad(
        content=mail(
            "Message-ID: <a'); DROP TABLE messages;--@customer.example>", without=("Message-ID",), body=b"SQL.\r\n"
        ),
        sender="o'or'1'='1@customer.example",
        recipient=f"help+TAI-{TICKET}'--@{DOMAIN}",
        ends=DELIVERED,
        posted="SQL.",
    ),
    "terminal escapes in subject and name": Bad(
        content=mail(
            "Subject: \x1b]0;owned\x07\x1b[2J", 'X-Name: "\x1b[31m"', without=("Subject",), body=b"Escapes.\r\n"
        ),
        ends=DELIVERED,
        posted="Escapes.",
    ),
}


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory) -> Aftermath:
    return asyncio.run(_suffer(tmp_path_factory.mktemp("bad-input")))


async def _suffer(folder: Path) -> Aftermath:
    after = Aftermath()
    async with new_world(folder) as world:
        world.start()
        await world.deliver(reply("The first mail.", name="first"))
        names = {name: await asyncio.to_thread(_send, world, bad) for name, bad in BAD.items()}
        after.recipient_replies = await asyncio.to_thread(_name_recipients, world, 20_000)
        await world.deliver(reply("The last mail."))
        await eventually(lambda: _is_quiet(world), "nothing is left to do")
        after.worker_runs = world.worker is not None and world.worker.poll() is None
        after.ledger = await world.ledger()
        posts = {str(post["id"]): world.sandbox.state.messages[str(post["id"])] for post in world.sandbox.state.posts}
        async with open_store(world.database_url) as store:
            for name, queue_id in names.items():
                record = await store.message(queue_id)
                assert record is not None
                after.records[name] = record
                after.contents[name] = await store.content(queue_id)
                after.posted[name] = posts.get(record.ticket_message_id or "", {}).get("content", "")
    return after


def _send(world: World, bad: Bad) -> str:
    """One mail in a session of its own; its queue id."""
    with smtplib.SMTP("127.0.0.1", world.port, timeout=60) as client:
        client.ehlo()
        assert client.docmd("MAIL", f"FROM:<{bad.sender}>")[0] == 250
        assert client.docmd("RCPT", f"TO:<{bad.recipient}>")[0] == 250
        code, answer = client.data(bad.content)
    assert code == 250, answer
    found = QUEUED_AS.search(answer.decode())
    assert found is not None
    return found[1]


def _name_recipients(world: World, count: int) -> list[int]:
    """The reply codes to ``count`` recipients in one transaction, as far as the server lets it come."""
    codes: list[int] = []
    with smtplib.SMTP("127.0.0.1", world.port, timeout=60) as client:
        client.ehlo()
        client.docmd("MAIL", "FROM:<alice@customer.example>")
        while len(codes) < count and 421 not in codes:
            codes.append(client.docmd("RCPT", f"TO:<help+{len(codes)}@{DOMAIN}>")[0])
    return codes


async def _is_quiet(world: World) -> bool:
    return not (await world.ledger()).by_state.get(State.QUEUED)


@pytest.mark.parametrize("name", BAD)
def test_bad_input_has_a_clear_end(name: str, aftermath: Aftermath) -> None:
    record = aftermath.records[name]
    assert (record.state, record.rule) == BAD[name].ends, record.reason
    assert aftermath.posted[name] == BAD[name].posted


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_kept_to_the_octet(name: str, aftermath: Aftermath) -> None:
    assert aftermath.contents[name].removesuffix(b"\r\n").endswith(BAD[name].content.removesuffix(b"\r\n"))


def test_bad_input_loses_nothing(aftermath: Aftermath) -> None:
    assert aftermath.ledger is not None
    assert aftermath.ledger.holds
    assert aftermath.ledger.accepted == len(BAD) + 2


def test_bad_input_does_not_end_the_worker(aftermath: Aftermath) -> None:
    assert aftermath.worker_runs


def test_recipients_above_the_limit_are_put_off(aftermath: Aftermath) -> None:
    assert aftermath.recipient_replies[:100] == [250] * 100
    assert set(aftermath.recipient_replies[100:]) <= {452, 421}
    assert 452 in aftermath.recipient_replies


def test_a_stolen_message_id_takes_no_thread_away(aftermath: Aftermath) -> None:
    assert aftermath.records["Message-ID of another's mail"].ticket_id == OTHER_TICKET


def test_an_archive_is_passed_on_unopened() -> None:
    message = parse(BAD["a zip bomb"].content)
    assert [(item.filename, item.size) for item in message.attachments] == [("logs.zip", len(BOMB))]
