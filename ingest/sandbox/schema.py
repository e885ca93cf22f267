"""The bodies of requests, checked strictly: a field that the documentation does not name is an error, so that the
worker cannot depend on one."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Name = Annotated[str, Field(min_length=1, max_length=200)]
Source = Literal[
    "WEB", "EMAIL", "FORM", "SLACK", "SLA", "WORKFLOW", "JIRA", "INTEGRATION", "SYSTEM", "AGENT", "TEAMS", "PORTAL",
    "MCP", "COPILOT", "FRESHSERVICE", "LINEAR",
]  # fmt: skip


class RequestBody(BaseModel):
    """Field names in camel case, exact types, nothing undocumented."""

    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)


class NewMessage(RequestBody):
    """The body of `POST /ticket-messages` as it is documented."""

    content: Annotated[str, Field(min_length=1)]
    author_id: Name | None = None
    """Required, except where the API posts under the token's own user (`Behaviour.author_id`)."""
    ticket_id: Name
    source: Source | None = None
    slack_timestamp: str | None = None
    slack_channel_id: str | None = None
    private: bool = False


class NewMessageWithEmailIds(NewMessage):
    """The body of `POST /ticket-messages` for a server that also takes the fields which are documented for responses
    only."""

    email_message_id: str | None = None
    email_in_reply_to: str | None = None


class NewAttachment(RequestBody):
    """The body of `POST /tickets/attachments`, which creates an attachment."""

    ticket_id: Name
    mime_type: Name
    filename: Name
    ticket_message_id: str | None = None
    metadata: Any = None
    placement: Literal["TICKET", "MESSAGE", "CUSTOM_FIELD"] = "MESSAGE"


class ConnectAttachments(RequestBody):
    """The body of `POST /tickets/attachments/connect`, which connects attachments to a message."""

    ticket_id: Name
    attachment_ids: list[str]
    ticket_message_id: str | None = None


class ArchiveAttachments(RequestBody):
    """The body of `POST /tickets/attachments/archive`, which hides attachments from lists."""

    ticket_id: Name
    attachment_ids: list[str]


class Fault(BaseModel):
    """A fault, which requests it is for, and how often. Without `status` and `cut`, the true response is sent late."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str | None = None
    """Only requests with this method; ``None`` for any."""
    path: str = "/api/"
    """Only requests whose path begins so."""
    about: str = ""
    """Only requests whose path or query contains this, such as the id of a ticket."""
    times: Annotated[int, Field(ge=1)] | None = 1
    """Number of requests; ``None`` for all of them until the faults are forgotten."""
    chance: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Probability that a request which fits is chosen."""
    delay: Annotated[float, Field(ge=0, le=3600)] = 0.0
    """Seconds before the answer."""
    effect: bool = False
    """The request has its effect all the same, and before ``delay``."""
    effect_after: Annotated[float, Field(ge=0, le=3600)] | None = None
    """The request has its effect so many seconds after it arrived, also if the client has gone by then. The true
    response waits for the effect; ``cut`` and ``status`` do not."""
    cut: bool = False
    """The connection is closed instead of an answer."""
    status: Annotated[int, Field(ge=200, le=599)] | None = None
    retry_after: str | None = None
    """Value of a ``Retry-After`` field."""
    body: str | None = None
    """Sent instead of the API's error envelope, as ``text/html``, as a gateway would."""

    def fits(self, method: str, path: str, query: str = "") -> bool:
        """Return whether a request with this method, path and query may get the fault."""
        return self.method in (None, method) and path.startswith(self.path) and self.about in f"{path}?{query}"


class Behaviour(BaseModel):
    """How the API behaves for all requests until it is changed: as published versions of it do, or as servers do under
    load. The default is what the documentation describes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    author_id: str | None = None
    """The token's own user, under whom every message is posted. ``authorId`` is then ignored and may be missing."""
    source: Source | None = None
    """The source that posted messages are stored with, whatever was sent."""
    content: Literal["kept", "paragraphs", "reflowed", "escaped"] = "kept"
    """How posted text is stored: as sent, as HTML with a ``<p>`` around each paragraph, with other line breaks and
    spaces, or with a backslash before each Markdown sign."""
    list_after: Annotated[float, Field(ge=0, le=3600)] = 0.0
    """Seconds until a list of messages shows a posted one."""
    clock_offset: float = 0.0
    """Seconds that the API's clock, from which ``createdAt`` comes, is ahead of the true time."""
    date_offset: float = 0.0
    """Seconds that the clock of the ``Date`` field is ahead of the true time."""
    ascending: bool = False
    """Lists are sorted oldest first, whatever was asked for."""
    page_limit: Annotated[int, Field(ge=1)] | None = None
    """Most items in a page, whatever was asked for."""


class MessageEdit(RequestBody):
    """What an agent changes in a message: the text, or ``deleted``, which keeps the message in the list."""

    content: str | None = None
    deleted: bool | None = None


class Merge(RequestBody):
    """The ticket that another one is merged into. The messages move with it, or stay listed at the old one."""

    into: Name
    move_messages: bool = False
