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
    author_id: Name
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
    """``POST /tickets/attachments``."""

    ticket_id: Name
    mime_type: Name
    filename: Name
    ticket_message_id: str | None = None
    metadata: Any = None
    placement: Literal["TICKET", "MESSAGE", "CUSTOM_FIELD"] = "MESSAGE"


class ConnectAttachments(RequestBody):
    """``POST /tickets/attachments/connect``."""

    ticket_id: Name
    attachment_ids: list[str]
    ticket_message_id: str | None = None


class ArchiveAttachments(RequestBody):
    """``POST /tickets/attachments/archive``."""

    ticket_id: Name
    attachment_ids: list[str]


class Fault(BaseModel):
    """A fault, which requests it is for, and how often. Without `status` and `cut`, the true response is sent late."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str | None = None
    """Only requests with this method; ``None`` for any."""
    path: str = "/api/"
    """Only requests whose path begins so."""
    times: Annotated[int, Field(ge=1)] = 1
    delay: Annotated[float, Field(ge=0, le=3600)] = 0.0
    """Seconds before the answer."""
    effect: bool = False
    """The request has its effect all the same, and before ``delay``."""
    cut: bool = False
    """The connection is closed instead of an answer."""
    status: Annotated[int, Field(ge=200, le=599)] | None = None
    retry_after: str | None = None
    """Value of a ``Retry-After`` field."""
    body: str | None = None
    """Sent instead of the API's error envelope, as ``text/html``, as a gateway would."""

    def fits(self, method: str, path: str) -> bool:
        return self.method in (None, method) and path.startswith(self.path)
