"""What the pipeline decides about a message, and the settings that it decides by."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ingest.api import Draft, User
from ingest.model.local_addresses import LocalAddresses
from ingest.model.message import ParsedMessage, Reply
from ingest.model.outcome import Outcome, Resolution
from ingest.tickets import SignalSettings

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
    is_note: bool = False
    """A report of a failed delivery: posted as a private note, without an author of its own."""
    resolution: Resolution = UNRESOLVED
    ticket_names: Mapping[str, str] = field(default_factory=dict)
    """The codes and ids of tickets that were looked up, and the tickets that they mean today."""
    user: User | None = None
    """The API's user with the sender's address; ``None`` where there is none, or none was asked for."""
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
    """Id of the API's user who posts for senders that the API does not know; ``None``: such mail is quarantined."""
    plain_content: bool = False
    """Post plain text instead of Markdown."""
