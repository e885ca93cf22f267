"""What the pipeline decides about a message, and the settings that it decides by."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ingest.api import Draft, User
from ingest.model.envelope import QueuedMessage
from ingest.model.local_addresses import LocalAddresses
from ingest.model.message import ParsedMessage, Reply
from ingest.model.outcome import Outcome, Resolution
from ingest.model.trust import NOTHING_KNOWN, Authentication, AuthenticationMode, Trust
from ingest.model.verdict import Verdict
from ingest.policy import DECISION_TABLE, DecisionTable
from ingest.sent_copies import CopyMark
from ingest.tickets import SignalSettings


class Authenticator(Protocol):
    """Finds out whether the domain in From sent a mail. Tests have a body of their own."""

    async def authenticate(self, queued: QueuedMessage, message: ParsedMessage, content: bytes) -> Authentication:
        """Return what is known about the claim of the From field.

        Raises:
            Unavailable: it cannot be found out now; its outcome says when to try again.
        """
        ...


UNRESOLVED = Resolution(ticket_id=None)
NOTHING_READ = Reply(content="", elided="", method="nothing could be read")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is to become of a message, and everything that was found out on the way there.

    Each step of deciding returns a copy with more in it. Deciding ends with the first step that sets ``outcome``, or
    with the draft.
    """

    message: ParsedMessage | None = None
    """``None`` where the message killed its parser."""
    reply: Reply = NOTHING_READ
    """What the sender newly wrote."""
    machine: Verdict | None = None
    """The rule by which a machine's mail is a private note at most; ``None`` for a person's mail."""
    is_report: bool = False
    """A report about a mail of ours: posted as a private note of the fallback author, whoever sent it."""
    is_from_machine: bool = False
    """A machine sent it, or its reverse-path is null: it is never posted as a public message, because the help desk may
    answer each of those."""
    authentication: Authentication = NOTHING_KNOWN
    """What is known about the claim of From."""
    copy_mark: CopyMark | None = None
    """What shows that it is a copy of outbound mail; ``None`` for all other mail."""
    resolution: Resolution = UNRESOLVED
    ticket_names: Mapping[str, str] = field(default_factory=dict)
    """The codes and ids of tickets that were looked up, and the tickets that they mean today."""
    user: User | None = None
    """The API's user with the sender's address; ``None`` where there is none, or none was asked for."""
    trust: Trust | None = None
    """The cell of the decision table that applied; ``None`` for a report, what a rule stopped before, and what an
    operator released."""
    flag: str = ""
    """Why a person may want to look at it although it is posted; empty: there is no reason."""
    author_id: str | None = None
    """Whom the ticket message is posted as: the user, or the fallback author."""
    draft: Draft | None = None
    """What to post; ``None`` where nothing is."""
    outcome: Outcome | None = None
    """How the message ends where nothing is posted; ``None`` where ``draft`` is to be posted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineSettings:
    """The operator's settings that decide what becomes of a message."""

    local_addresses: LocalAddresses
    signals: SignalSettings
    fallback_author_id: str | None
    """Id of the API's user who posts for senders that the API does not know or that are not proven; ``None``: such mail
    is quarantined."""
    staff_domains: frozenset[str] = frozenset()
    """Mail domains of the help desk's own people, as ``comparable_domain`` gives them."""
    authentication_mode: AuthenticationMode = AuthenticationMode.REQUIRED
    decision_table: DecisionTable = field(default_factory=lambda: DECISION_TABLE)
    max_lookups_per_sender: int = 0
    """Tickets that one sender's mail may make us ask the API for in a minute; 0 is no limit."""
    plain_content: bool = False
    """Post plain text instead of Markdown."""
