"""The spoof matrix: mails of an attacker in the names of others, each with every kind of evidence and authentication.

The attacker owns ``attacker.example``, which proves its mail by SPF, DMARC and DKIM. A mail is posted wrongly if it
becomes a message that customers see, or has the name of somebody else, without that person's domain having proven it.
One case is allowed, and counted by itself: the mail names somebody who is on the ticket, holds something that only the
ticket's people know (a signed address, the Message-ID of a notification), and the domain in From asks for no check.
"""

import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path

from ingest import signing
from ingest.app import Engine, start_engine
from ingest.config.settings import load
from ingest.decision import Decision
from ingest.model.envelope import Envelope, QueuedMessage, SourceRef
from ingest.model.teachers import Teacher
from ingest.sandbox import Sandbox
from tests.support.signing import SigningKey, rsa_key, signed

SANDBOX = Path(__file__).parent.parent / "fixtures" / "sandbox.json"
DOMAIN = "mail.ravenna.example"
SIGNING_KEY = "the signing key of the benchmark: 32 bytes and more"
FALLBACK_AUTHOR = "cm6uwfhvdy8ufuqc66rmrqt36"
TICKET = "cm7tzfuvs15iepfjnuzxmrzlm"
"""TAI-44: Carol asks, Alice follows, Sam is its agent."""
KNOWN_ID = "tai-44-1@mail.ravenna.example"

CAROL, ALICE = "carol.dsouza@customer.example", "alice@customer.example"
SAM, MIRA = "sam.okafor@support.example", "mira.lindqvist@support.example"
MALLORY = "mallory@attacker.example"
ON_TICKET = (CAROL, ALICE)

SENDERS: Mapping[str, tuple[str, ...]] = {
    "the ticket's agent": (f"From: Sam <{SAM}>",),
    "another agent": (f"From: Mira <{MIRA}>",),
    "nobody of the staff's domain": ("From: <ceo@support.example>",),
    "the desk's bot": ("From: <bot@mail.ravenna.example>",),
    "the requester": (f"From: <{CAROL}>",),
    "a follower": (f"From: <{ALICE}>",),
    "a user who is not on it": ("From: <bob@customer.example>",),
    "a guest": ("From: <guest.one@elsewhere.example>",),
    "the attacker": (f"From: <{MALLORY}>",),
    "the agent in capitals": (f"From: <{SAM.upper()}>",),
    "a subdomain of the staff's": ("From: <sam.okafor@mail.support.example>",),
    "a look-alike of the staff's": ("From: <sam.okafor@supp\u043ert.example>",),
    "a look-alike, encoded": ("From: <sam.okafor@xn--supprt-kbg.example>",),
    "the agent's address as a name": (f'From: "{SAM}" <{MALLORY}>',),
    "two mailboxes": (f"From: <{SAM}>, <{MALLORY}>",),
    "two From fields": (f"From: <{MALLORY}>", f"From: <{SAM}>"),
    "a group": (f"From: Staff: <{SAM}>;",),
    "the agent, sent by the attacker": (f"From: <{SAM}>", f"Sender: <{MALLORY}>"),
    "the requester, answers to the attacker": (f"From: <{CAROL}>", f"Reply-To: <{MALLORY}>"),
    "the agent in a comment": (f"From: {MALLORY} ({SAM})",),
}
"""What the attacker writes into the header. Raw UTF-8 where it is not ASCII."""


def _signed(person: str) -> str:
    return signing.sign_address(TICKET, DOMAIN, SIGNING_KEY.encode(), person=person)


EVIDENCE: Mapping[str, tuple[Callable[[], str], tuple[str, ...]]] = {
    "signed for Carol": (partial(_signed, CAROL), ()),
    "signed": (partial(_signed, ""), ()),
    "known id": (lambda: f"help@{DOMAIN}", (f"In-Reply-To: <{KNOWN_ID}>",)),
    "address": (lambda: f"help+TAI-44@{DOMAIN}", ()),
    "subject": (lambda: f"help@{DOMAIN}", ("Subject: Re: [TAI-44] VPN",)),
    "none": (lambda: f"help@{DOMAIN}", ()),
}
SECRETS = frozenset({"signed for Carol", "signed", "known id"})
"""Evidence that only the people of the ticket have."""

VICTIMS = ("support.example", "customer.example", "elsewhere.example", DOMAIN)
REFUSES = "p=reject"
AUTHENTICATIONS = (
    "domains say nothing",
    "p=none",
    REFUSES,
    "p=reject, signed by the attacker",
    "p=reject, forged results",
    "p=reject, broken signature",
)
ASKS_FOR_NOTHING = frozenset(AUTHENTICATIONS[:2])
FORGED_RESULTS = (
    f"Authentication-Results: mx.{DOMAIN}; dmarc=pass header.from=support.example",
    "Authentication-Results: spf=pass smtp.mailfrom=support.example; dkim=pass header.d=support.example; dmarc=pass",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoof:
    """A mail of the attacker."""

    sender: str
    evidence: str
    authentication: str
    content: bytes
    recipient: str


@dataclass(slots=True, kw_only=True)
class Score:
    """What became of the mails."""

    mails: int = 0
    public: int = 0
    notes: int = 0
    held: int = 0
    with_a_secret: int = 0
    """Posted in the name of somebody on the ticket, by a secret of the ticket: allowed, and flagged."""
    wrong: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """The score, as it is printed."""
        yield f"mails                                {self.mails:6}"
        yield f"held                                 {self.held:6}"
        yield f"private notes                        {self.notes:6}"
        yield f"public, by a secret of the ticket    {self.with_a_secret:6}"
        yield f"wrong public posts or authors        {len(self.wrong):6}"


def zone(authentication: str, key: SigningKey) -> dict[str, object]:
    """What the DNS says: the attacker's domain proves its mail, those of the others as ``authentication`` says."""
    names: dict[str, object] = {
        "attacker.example": {"TXT": ["v=spf1 ip4:127.0.0.0/8 -all"]},
        "_dmarc.attacker.example": {"TXT": ["v=DMARC1; p=reject"]},
        "key._domainkey.attacker.example": {"TXT": [key.record]},
    }
    for domain in VICTIMS:
        names[domain] = {"TXT": ["v=spf1 -all"], "A": ["192.0.2.1"]}
        names[f"key._domainkey.{domain}"] = {"TXT": [key.record]}
        if authentication != AUTHENTICATIONS[0]:
            policy = "none" if authentication == "p=none" else "reject"
            names[f"_dmarc.{domain}"] = {"TXT": [f"v=DMARC1; p={policy}"]}
    return names


def spoofs(authentication: str, key: SigningKey) -> Iterator[Spoof]:
    """Yield the attacker's mails with one kind of authentication."""
    for number, (sender, evidence) in enumerate(product(SENDERS, EVIDENCE)):
        recipient, fields = EVIDENCE[evidence]
        to = recipient()
        header = [*SENDERS[sender], f"To: <{to}>", f"Message-ID: <spoof-{number}@attacker.example>", *fields]
        header += FORGED_RESULTS if authentication == AUTHENTICATIONS[4] else ()
        content = "\r\n".join([*header, "", "Please send me the new password.", ""]).encode()
        yield Spoof(
            sender=sender,
            evidence=evidence,
            authentication=authentication,
            content=_with_signature(content, authentication, key),
            recipient=to,
        )


def _with_signature(content: bytes, authentication: str, key: SigningKey) -> bytes:
    domain = {AUTHENTICATIONS[3]: "attacker.example", AUTHENTICATIONS[5]: "support.example"}.get(authentication)
    if domain is None:
        return content
    with_signature = signed(content, domain=domain, selector="key", key=key, fields=["From", "To", "Message-ID"])
    return with_signature + b"PS: to this address.\r\n" if domain == "support.example" else with_signature


@asynccontextmanager
async def engine_with(
    folder: Path, names: Mapping[str, object], **settings: str
) -> AsyncIterator[tuple[Engine, Sandbox]]:
    """Yield an engine with default settings of trust, which asks a zone of ``names`` in place of the DNS."""
    file = folder / "zone.json"
    file.write_text(json.dumps({"zone": names}), "utf-8")
    async with Sandbox(data=SANDBOX) as sandbox:
        environment = {
            "RAVENNA_API_URL": sandbox.url,
            "RAVENNA_API_TOKEN": sandbox.token,
            "INGEST_DATABASE_URL": f"sqlite:///{folder / 'trust.db'}",
            "INGEST_DOMAINS": DOMAIN,
            "INGEST_SIGNING_KEY": SIGNING_KEY,
            "INGEST_FALLBACK_AUTHOR_ID": FALLBACK_AUTHOR,
            "INGEST_STAFF_DOMAINS": "support.example",
            "INGEST_DNS_ZONE": str(file),
            "INGEST_LOG_LEVEL": "error",
            **settings,
        }
        async with start_engine(load(environment)) as engine:
            await engine.store.learn(KNOWN_ID, TICKET, learned_from=Teacher.API, now=time.time())
            yield engine, sandbox


def claimed(mail_from: str, recipient: str, client: str = "127.0.0.1") -> QueuedMessage:
    """A claimed message from a client whose address counts as the sender's own, as with ``--sandbox``."""
    now = time.time()
    return QueuedMessage(
        queue_id="Q",
        envelope=Envelope(mail_from=mail_from, rcpt_tos=(recipient,), helo="mx.attacker.example", client=client),
        source_ref=SourceRef(source="smtp:25"),
        size=100,
        received_at=now,
        retry_window_start=now,
        attempts=1,
        lone_crashes=0,
        first_attempt_at=now,
        lease_token="lease",
    )


async def spoof_matrix(folder: Path) -> Score:
    """Decide about all mails of the matrix. Nothing is posted."""
    score, key = Score(), rsa_key()
    for number, authentication in enumerate(AUTHENTICATIONS):
        place = folder / str(number)
        place.mkdir()
        async with engine_with(place, zone(authentication, key)) as (engine, sandbox):
            users = {str(user["id"]): str(user["email"]) for user in sandbox.state.users.values()}
            for spoof in spoofs(authentication, key):
                decision = await engine.pipeline.decide(claimed(MALLORY, spoof.recipient), spoof.content)
                _judge(spoof, decision, users, score)
    return score


def _judge(spoof: Spoof, decision: Decision, users: Mapping[str, str], score: Score) -> None:
    draft = decision.draft
    score.mails += 1
    if draft is None:
        score.held += 1
        return
    score.notes += draft.private
    score.public += not draft.private
    author = users.get(draft.author_id, "") if draft.author_id != FALLBACK_AUTHOR else ""
    has_secret = spoof.evidence in SECRETS
    if author in ON_TICKET and has_secret and (draft.private or spoof.authentication in ASKS_FOR_NOTHING):
        score.with_a_secret += not draft.private
        return
    if author or not draft.private:
        kind = "note" if draft.private else "public"
        score.wrong.append(
            f"{kind} as {author or 'fallback'}: {spoof.sender} / {spoof.evidence} / {spoof.authentication}"
        )
    elif names_another(draft.content, spoof):
        score.wrong.append(f"names another: {spoof.sender} / {spoof.evidence} / {spoof.authentication}")


def names_another(content: str, spoof: Spoof) -> bool:
    """Whether the lines above the text name the agent as the sender of a mail from the attacker's own address."""
    is_own = f"<{MALLORY}>" in SENDERS[spoof.sender][0] or SENDERS[spoof.sender][0].startswith(f"From: {MALLORY}")
    head = content.partition("Please send me")[0].replace("\\", "")
    return is_own and MALLORY not in head


def rows(found: Sequence[str]) -> Iterator[str]:
    """The first of many lines, and how many more there are."""
    yield from found[:20]
    if len(found) > 20:
        yield f"... and {len(found) - 20} more"
