"""The state of the sandbox: tickets, users, messages and attachments, and a journal that survives a `kill -9`."""

import base64
import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from ingest.sandbox import records
from ingest.sandbox.records import Record
from ingest.sandbox.schema import Behaviour

Clock = Callable[[], float]
START_DATA = Path(__file__).with_name("start.json")
"""The tickets, users and messages to start with if no other file is named: a copy of `fixtures/sandbox.json`."""
UPLOAD_SECONDS = 900.0
"""How long an upload URL is valid: as long as those of common object stores are by default."""


class ApiError(Exception):
    """A request is refused, with an HTTP status and the message of the API's error envelope."""

    def __init__(self, status: int, message: str, *issues: str) -> None:
        super().__init__(message)
        self.status = status
        self.issues = issues


class SandboxState:
    """The state behind the API.

    ``data`` is the JSON file it starts from (``fixtures/sandbox.json`` has the form). Each effect becomes one line of
    ``journal``, written and flushed before anyone is told of it, so that a killed sandbox knows afterwards what it
    answered. Without a journal everything is forgotten at the end."""

    def __init__(self, data: Path | None = None, journal: Path | None = None, clock: Clock = time.time) -> None:
        self._true_clock = clock
        self.behaviour = Behaviour()
        """How the API behaves from now on."""
        self.domain = "mail.ravenna.example"
        self.users: dict[str, Record] = {}
        self.queues: dict[str, Record] = {}
        self.tickets: dict[str, Record] = {}
        self.messages: dict[str, Record] = {}
        self.attachments: dict[str, Record] = {}
        self.uploads: dict[str, bytes] = {}
        self.posts: list[Record] = []
        """What was posted since the start data, in order, each with the Idempotency-Key that came with it."""
        self._posted_at: dict[str, float] = {}
        self._by_name: dict[str, Record] = {}
        self._by_ticket: dict[str, list[Record]] = {}
        if data is not None:
            self._load(json.loads(data.read_text("utf-8")))
        self._journal = self._open_journal(journal) if journal is not None else None

    def close(self) -> None:
        """Close the journal."""
        if self._journal is not None:
            self._journal.close()

    # Reading

    def ticket(self, identifier: str) -> Record:
        """Return the ticket with this id, short id or `PREFIX-NUMBER`. Raises `ApiError` if there is none."""
        found = self._by_name.get(identifier) or self._by_name.get(identifier.upper())
        if found is None:
            raise ApiError(404, "Ticket not found")
        return found

    def messages_of(self, ticket_id: str) -> list[Record]:
        """Return the messages of a ticket in the order in which they were written."""
        return self._by_ticket.get(ticket_id, [])

    def listed_messages_of(self, ticket_id: str) -> list[Record]:
        """Return those messages of a ticket that a list shows by now (`Behaviour.list_after`)."""
        latest = self._true_clock() - self.behaviour.list_after
        return [found for found in self.messages_of(ticket_id) if self._posted_at.get(found["id"], latest) <= latest]

    def attachments_of(self, ticket_id: str) -> list[Record]:
        """Return the attachments of a ticket, without the archived ones."""
        return [
            found for found in self.attachments.values() if found["ticketId"] == ticket_id and not found.get("archived")
        ]

    # Effects

    def post_message(self, given: Mapping[str, Any], idempotency_key: str) -> Record:
        """Add a ticket message. EMAIL and WEB messages get an ``emailMessageId``, as if they were mailed out."""
        ticket, now = self._open_ticket(given["ticketId"]), records.timestamp(self._clock())
        author_id = self.behaviour.author_id or given.get("authorId")
        if author_id not in self.users:
            raise ApiError(400, "Invalid input data", f"authorId: no user {author_id}")
        message = {"id": records.new_id(), **given, "authorId": author_id, "createdAt": now}
        message["content"] = records.stored_content(given["content"], self.behaviour.content)
        message["source"] = self.behaviour.source or given["source"]
        if given["source"] in ("EMAIL", "WEB") and not given["private"]:
            message.setdefault("emailMessageId", f"<{message['id']}@{self.domain}>")
            message.setdefault("emailInReplyTo", self._newest_email(ticket["id"]))
        self._posted_at[message["id"]] = self._true_clock()
        self._record("message", {"message": message, "idempotencyKey": idempotency_key})
        return self.messages[message["id"]]

    def edit_message(self, message_id: str, changes: Mapping[str, Any]) -> None:
        """Change a message as an agent does; `deleted` marks it and leaves it in the list. Raises `ApiError` if there
        is none."""
        if message_id not in self.messages:
            raise ApiError(404, "Ticket message not found")
        now = records.timestamp(self._clock())
        deletion = {"deletedAt": now} if changes.get("deleted") else {}
        self._record("edit", {"id": message_id, "changes": {**changes, **deletion, "updatedAt": now}})

    def merge(self, ticket_id: str, into: str, *, move_messages: bool = False) -> None:
        """Merge a ticket into another one. Raises `ApiError` if there is none, or it is merged already."""
        ticket, target = self._open_ticket(ticket_id), self._open_ticket(into)
        now = records.timestamp(self._clock())
        self._record("merge", {"id": ticket["id"], "into": target["id"], "at": now, "move": move_messages})

    def create_attachment(self, given: Mapping[str, Any], base: str) -> Record:
        """Create an attachment without content: the first of two steps, `upload` is the second."""
        self._open_ticket(given["ticketId"])
        made = {"id": records.new_id(), "signature": secrets.token_urlsafe(16), **given}
        made = records.attachment(made, base, records.timestamp(self._clock()))
        self._record("attachment", made)
        return self.attachments[made["id"]]

    def upload(self, attachment_id: str, signature: str, content_type: str, content: bytes) -> None:
        """Take the bytes of an attachment: once, within `UPLOAD_SECONDS`, and with the content type of its creation."""
        found = self._signed(attachment_id, signature)
        if content_type != found["mimeType"]:
            raise ApiError(403, "Signature does not match")
        if found["status"] != "pending" or self._age(found) > UPLOAD_SECONDS:
            raise ApiError(403, "Request has expired")
        self._record("upload", {"id": attachment_id, "content": base64.b64encode(content).decode()})

    def download(self, attachment_id: str, signature: str) -> bytes:
        """Return the content of an attachment. Raises `ApiError` if the signature is wrong."""
        self._signed(attachment_id, signature)
        return self.uploads.get(attachment_id, b"")

    def connect(self, ticket_id: str, attachment_ids: list[str], ticket_message_id: str | None) -> None:
        """Connect uploaded attachments to a message of their ticket. Each can be connected to one message only."""
        found = self._own(ticket_id, attachment_ids)
        if ticket_message_id is not None and self.messages.get(ticket_message_id, {}).get("ticketId") != ticket_id:
            raise ApiError(404, "Ticket message not found")
        if missing := [one["id"] for one in found if one["status"] != "completed"]:
            raise ApiError(400, "Invalid input data", *(f"attachmentIds: {name} has not arrived" for name in missing))
        if tied := [one["id"] for one in found if one["ticketMessageId"] not in (None, ticket_message_id)]:
            raise ApiError(400, "Invalid input data", *(f"attachmentIds: {name} is another message's" for name in tied))
        self._record("change", {"ids": attachment_ids, "changes": {"ticketMessageId": ticket_message_id}})

    def archive(self, ticket_id: str, attachment_ids: list[str]) -> None:
        """Archive attachments, so that the ticket does not list them."""
        self._own(ticket_id, attachment_ids)
        self._record("change", {"ids": attachment_ids, "changes": {"archived": True}})

    # Inside

    def _clock(self) -> float:
        return self._true_clock() + self.behaviour.clock_offset

    def _open_ticket(self, ticket_id: str) -> Record:
        if ticket_id not in self.tickets:
            raise ApiError(404, "Ticket not found")
        if into := self.tickets[ticket_id]["mergedIntoId"]:
            raise ApiError(400, f"Ticket is merged into {into}")
        return self.tickets[ticket_id]

    def _own(self, ticket_id: str, attachment_ids: list[str]) -> list[Record]:
        own = {found["id"]: found for found in self.attachments_of(ticket_id)}
        if unknown := [wanted for wanted in attachment_ids if wanted not in own]:
            raise ApiError(400, "Invalid input data", *(f"attachmentIds: no attachment {name}" for name in unknown))
        return [own[wanted] for wanted in attachment_ids]

    def _age(self, record: Record) -> float:
        return self._clock() - datetime.fromisoformat(record["createdAt"]).timestamp()

    def _newest_email(self, ticket_id: str) -> str | None:
        ids = (message["emailMessageId"] for message in reversed(self.messages_of(ticket_id)))
        return next(filter(None, ids), None)

    def _signed(self, attachment_id: str, signature: str) -> Record:
        found = self.attachments.get(attachment_id, {"uploadUrl": ""})
        expected = found["uploadUrl"].rpartition("=")[2]
        if not expected or not secrets.compare_digest(expected.encode(), signature.encode()):
            raise ApiError(403, "Signature does not match")
        return found

    def _load(self, data: Mapping[str, Any]) -> None:
        self.domain = data.get("domain", self.domain)
        self.users = {given["id"]: records.user(given) for given in data["users"]}
        self.queues = {given["id"]: records.queue(given, data["workspace"]) for given in data["queues"]}
        for given in data["tickets"]:
            self._add_ticket(records.ticket(given, self.queues[given["queueId"]]))
        for given in data["messages"]:
            self._add_message(given)

    def _add_ticket(self, ticket: Record) -> None:
        self.tickets[ticket["id"]] = ticket
        code = f"{ticket['queue']['prefix']}-{ticket['number']}"
        self._by_name |= dict.fromkeys((ticket["id"], ticket["shortId"], code), ticket)

    def _add_message(self, given: Mapping[str, Any]) -> None:
        ticket, author = self.tickets[given["ticketId"]], self.users[given["authorId"]]
        message = records.message(given, author)
        self.messages[message["id"]] = message
        self._by_ticket.setdefault(ticket["id"], []).append(message)
        ticket["updatedAt"] = max(ticket["updatedAt"], message["createdAt"])

    # The journal

    def _record(self, event: str, fact: Record) -> None:
        if self._journal is not None:
            line = json.dumps({"event": event, "fact": fact}, ensure_ascii=False)
            self._journal.write(line.encode() + b"\n")
            self._journal.flush()
        self._apply(event, fact)

    def _apply(self, event: str, fact: Record) -> None:
        _EFFECTS[event](self, fact)

    def _posted(self, fact: Record) -> None:
        self._add_message(fact["message"])
        message = fact["message"]
        self.posts.append(
            {key: message[key] for key in ("id", "ticketId", "authorId", "content", "createdAt")}
            | {"idempotencyKey": fact["idempotencyKey"]}
        )

    def _edited(self, fact: Record) -> None:
        self.messages[fact["id"]].update(fact["changes"])

    def _merged(self, fact: Record) -> None:
        self.tickets[fact["id"]] |= {"mergedIntoId": fact["into"], "mergedAt": fact["at"]}
        if fact["move"]:
            moved = self._by_ticket.pop(fact["id"], [])
            for message in moved:
                message["ticketId"] = fact["into"]
            self._by_ticket.setdefault(fact["into"], []).extend(moved)

    def _attached(self, fact: Record) -> None:
        self.attachments[fact["id"]] = fact

    def _uploaded(self, fact: Record) -> None:
        self.uploads[fact["id"]] = base64.b64decode(fact["content"])
        self.attachments[fact["id"]]["status"] = "completed"

    def _changed(self, fact: Record) -> None:
        for attachment_id in fact["ids"]:
            self.attachments[attachment_id].update(fact["changes"])

    def _open_journal(self, path: Path) -> IO[bytes]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        whole = 0
        for line in _whole_lines(path):
            entry = json.loads(line)
            with suppress(KeyError):  # about a ticket that the start data no longer has
                self._apply(entry["event"], entry["fact"])
            whole += len(line)
        journal = path.open("r+b")
        journal.truncate(whole)
        journal.seek(whole)
        return journal


def _whole_lines(path: Path) -> Iterator[bytes]:
    """Yield the complete lines. A last line without its end is left from a write that was killed; its effect was not
    answered to anybody."""
    with path.open("rb") as journal:
        for line in journal:
            if line.endswith(b"\n"):
                yield line


_EFFECTS: dict[str, Callable[[SandboxState, Record], None]] = {
    "message": SandboxState._posted,
    "edit": SandboxState._edited,
    "merge": SandboxState._merged,
    "attachment": SandboxState._attached,
    "upload": SandboxState._uploaded,
    "change": SandboxState._changed,
}
