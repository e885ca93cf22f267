"""An IMAP connection: sends commands and tracks the state that untagged responses tell (RFC 3501).

It has the commands that a reader needs: read a folder, mark or move what was read, wait for more. One command runs at
a time. Unsolicited responses (EXISTS, BYE, FETCH of changed flags) are handled or ignored at any time.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from ingest.sources.imap.protocol import grammar, utf7
from ingest.sources.imap.protocol.grammar import Continuation, StatusResponse, UnparsableResponse, UntaggedData, Value
from ingest.sources.imap.protocol.uids import sequence_set
from ingest.sources.imap.protocol.wire import ConnectionLost, NothingReceived, Response, Wire, speaks_tls

MAX_UIDS_PER_COMMAND = 500
"""Most UIDs named in one command. It keeps the command line below the 8,000 octets that servers accept (RFC 7162
section 4)."""
SILENT_GREETING_SECONDS = 3.0
"""A server that has not greeted after this time may be waiting for TLS. A slow one has the whole timeout."""
BODY_ITEMS = ("BODY[]", "BODY[]<0>", "RFC822")
"""Names under which servers send what was asked for as BODY.PEEK[]."""

HEADER_ITEM = "BODY[HEADER"
"""How the names begin under which servers send a header section or fields of it: ``BODY[HEADER]<0>``."""


class CommandRefused(Exception):
    """The server answered a command with NO or BAD."""

    def __init__(self, command: str, status: StatusResponse) -> None:
        said = f"[{status.code}] {status.text}" if status.code else status.text
        super().__init__(f"the server answered {command} with {status.condition} {said}".strip())
        self.command = command
        self.status = status


class ServerBye(ConnectionLost):
    """The server closes the connection and said why (``* BYE``)."""

    def __init__(self, status: StatusResponse) -> None:
        super().__init__(f"the server closed the connection: {status.text or 'it gave no reason'}")
        self.status = status


class NotImap(Exception):
    """The peer is no IMAP server, or one that lacks what we need."""


class TlsUnavailable(Exception):
    """The settings require STARTTLS and it is impossible. The connection is given up before anything secret is sent."""


class TlsFromTheStart(Exception):
    """The settings want a greeting in clear, and the server waits for TLS from the first octet on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedMessage:
    """The items of one FETCH response that we use."""

    uid: int | None
    """``None`` if the server left it out."""
    size: int | None = None
    """RFC822.SIZE in octets; ``None`` if the server left it out."""
    internal_date: bytes = b""
    """INTERNALDATE as it was sent; empty if it was not."""
    body: Value = None
    """The whole message; ``None`` if the server sent NIL or nothing."""
    header: Value = None
    """The header section, or its beginning; ``None`` if the server sent NIL or nothing."""


OnMessage = Callable[[FetchedMessage], Awaitable[None]]


class ImapConnection:
    """A connection to a server whose greeting was read and, if the settings ask for it, under TLS.

    ``exists``, ``uid_validity`` and ``uid_next`` are what the server last said of the selected folder. ``arrivals`` is
    the total by which the folder has grown while selected: it changes on new mail even if others delete mail."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._count = 0
        self.capabilities: frozenset[str] = frozenset()
        self.is_authenticated = False
        self.exists = 0
        self.arrivals = 0
        self.uid_validity = 0
        self.uid_next = 0
        self._greeting: Response | None = None
        self._found: list[int] = []
        self._folders: list[str] = []

    @classmethod
    async def open(
        cls, host: str, port: int, security: str, context: ssl.SSLContext, *, timeout: float, max_literal: int
    ) -> "ImapConnection":
        """Connect and read the greeting. If ``security`` is ``tls`` or ``starttls``, nothing is sent in clear when TLS
        fails. ``timeout`` is in seconds, ``max_literal`` in octets.

        Raises:
            OSError, TimeoutError: no connection, or no TLS.
            NotImap: the peer does not greet as an IMAP server does.
            TlsUnavailable: the server does not offer STARTTLS, or refuses it.
            TlsFromTheStart: the server wants TLS at once.
            CommandRefused: the server refused CAPABILITY.
            ConnectionLost: the connection ended (``ServerBye``: the server said why).
        """
        implicit = context if security == "tls" else None
        wire = await Wire.connect(host, port, tls=implicit, timeout=timeout, max_literal=max_literal)
        connection = cls(wire)
        try:
            if security != "tls":
                await connection._expect_greeting_in_clear(host, port, timeout)
            await connection._greet()
            if security == "starttls":
                await connection._start_tls(context, host)
            if not connection.capabilities:
                await connection.command("CAPABILITY")
        except BaseException:
            wire.close()
            raise
        return connection

    async def _expect_greeting_in_clear(self, host: str, port: int, timeout: float) -> None:
        """Wait a few seconds for the greeting. If none comes, try whether the server speaks TLS: it is then as silent
        as we are, for as long as anybody waits."""
        try:
            self._greeting = await self._wire.receive(wait=min(SILENT_GREETING_SECONDS, timeout))
        except NothingReceived:
            if await speaks_tls(host, port, timeout=SILENT_GREETING_SECONDS):
                raise TlsFromTheStart(f"{host}:{port} speaks TLS from the first octet on") from None

    async def _greet(self) -> None:
        greeting = grammar.parse_response(self._greeting or await self._wire.receive())
        if not isinstance(greeting, StatusResponse) or greeting.tag != "*":
            raise NotImap("what answers there does not greet as an IMAP server does")
        if greeting.condition == "BYE":
            raise ServerBye(greeting)
        self._note(greeting)
        self.is_authenticated = greeting.condition == "PREAUTH"

    async def _start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Start TLS and discard what was learned in clear (RFC 3501 section 6.2.1). A PREAUTH greeting rules STARTTLS
        out, and an attacker could send one, so it is an error."""
        if self.is_authenticated:
            raise TlsUnavailable("the server greets with PREAUTH, which rules STARTTLS out")
        try:
            await self.command("STARTTLS")
        except CommandRefused as refusal:
            raise TlsUnavailable(f"the server does not start TLS ({refusal.status.text})") from refusal
        await self._wire.start_tls(context, host)
        self.capabilities = frozenset()

    # Commands

    async def command(
        self,
        name: str,
        *arguments: bytes,
        on_message: OnMessage | None = None,
        on_challenge: Callable[[bytes], bytes] | None = None,
        shown: str | None = None,
    ) -> StatusResponse:
        """Send a command, handle what comes until its tagged response, and return that if it is OK.

        ``on_message`` is called with each FETCH response as it arrives; ``on_challenge`` returns what to send on a
        continuation request. ``shown`` is the command's name for error messages, if its arguments are secret.

        Raises:
            CommandRefused: the tagged response is NO or BAD.
            ConnectionLost: the connection cannot be used any more (``ServerBye``: the server said why).
        """
        tag = await self._send(name, *arguments)
        while True:
            response = grammar.parse_response(await self._wire.receive())
            if isinstance(response, Continuation):
                await self._continue(response, on_challenge)
            elif isinstance(response, StatusResponse) and response.tag == tag:
                return self._accept(response, shown or name)
            elif isinstance(response, UntaggedData) and response.name == "FETCH" and on_message:
                await on_message(_parse_message(response))
            else:
                self._note(response)

    async def _send(self, name: str, *arguments: bytes) -> str:
        self._count += 1
        tag = f"i{self._count}"
        await self._wire.send(b" ".join([tag.encode(), name.encode(), *arguments]) + b"\r\n")
        return tag

    async def _continue(self, request: Continuation, on_challenge: Callable[[bytes], bytes] | None) -> None:
        if on_challenge is None:
            raise ConnectionLost("the server asks for more of a command that was complete")
        await self._wire.send(on_challenge(request.text) + b"\r\n")

    def _accept(self, status: StatusResponse, name: str) -> StatusResponse:
        if status.condition != "OK":
            raise CommandRefused(name, status)
        self._note(status)
        return status

    def _note(self, response: StatusResponse | UntaggedData | Continuation | UnparsableResponse) -> None:
        """Update the connection's state from a response that answers no command of ours."""
        if isinstance(response, UnparsableResponse):
            raise ConnectionLost("the server sent a line that is no IMAP response; the connection is out of step")
        if isinstance(response, StatusResponse):
            self._note_status(response)
        elif isinstance(response, UntaggedData):
            self._note_data(response)

    def _note_status(self, status: StatusResponse) -> None:
        if status.condition == "BYE":
            raise ServerBye(status)
        if status.tag != "*" and not status.tag.startswith("i"):
            raise ConnectionLost("the server answered a command that we did not send; the connection is out of step")
        if status.code == "CAPABILITY":
            self.capabilities = frozenset(status.argument.upper().split())
        elif status.code == "UIDVALIDITY" and status.argument.isdigit():
            self.uid_validity = int(status.argument)
        elif status.code == "UIDNEXT" and status.argument.isdigit():
            self.uid_next = int(status.argument)

    def _note_data(self, data: UntaggedData) -> None:
        match data.name:
            case "EXISTS":
                self.arrivals += max(0, data.number - self.exists)
                self.exists = data.number
            case "EXPUNGE":
                self.exists = max(0, self.exists - 1)
            case "SEARCH":
                self._found.extend(grammar.numbers(data.values))
            case "CAPABILITY":
                self.capabilities = frozenset(v.decode("ascii", "replace").upper() for v in _texts(data.values))
            case "LIST" if data.values and (name := _octets(data.values[-1])):
                self._folders.append(utf7.decode_folder(name))

    async def select(self, folder: str, *, read_only: bool) -> None:
        """Select a folder; with ``read_only`` by EXAMINE, so that nothing in it can change."""
        self.uid_validity = self.uid_next = self.exists = self.arrivals = 0
        await self.command("EXAMINE" if read_only else "SELECT", utf7.encode_folder(folder))

    async def search(self, criteria: str) -> list[int]:
        """Return the UIDs of the messages that match ``criteria``, in ascending order."""
        self._found = []
        await self.command("UID SEARCH", criteria.encode("ascii"))
        return sorted(set(self._found))

    async def fetch(self, uids: Iterable[int], items: str, on_message: OnMessage) -> None:
        """Fetch ``items`` of ``uids``, at most ``MAX_UIDS_PER_COMMAND``, and call ``on_message`` with each response."""
        await self.command("UID FETCH", sequence_set(uids).encode(), items.encode("ascii"), on_message=on_message)

    async def store(self, uids: Iterable[int], flag: str) -> None:
        """Add a flag to messages and keep their other flags."""
        await self.command("UID STORE", sequence_set(uids).encode(), b"+FLAGS.SILENT", f"({flag})".encode("ascii"))

    async def move(self, uids: Iterable[int], folder: str) -> None:
        """Move messages to ``folder`` (RFC 6851)."""
        await self.command("UID MOVE", sequence_set(uids).encode(), utf7.encode_folder(folder))

    async def copy(self, uids: Iterable[int], folder: str) -> None:
        """Copy messages to ``folder``."""
        await self.command("UID COPY", sequence_set(uids).encode(), utf7.encode_folder(folder))

    async def expunge(self, uids: Iterable[int]) -> None:
        """Remove those of ``uids`` that are marked as deleted, and no other messages (RFC 4315)."""
        await self.command("UID EXPUNGE", sequence_set(uids).encode())

    async def folders(self) -> list[str]:
        """Return the names of all folders, sorted."""
        self._folders = []
        await self.command("LIST", b'""', b'"*"')
        return sorted(self._folders)

    async def identify(self) -> None:
        """Send ID (RFC 2971) if the server advertises it. Some servers refuse clients that do not."""
        if "ID" in self.capabilities:
            await self.command("ID", b'("name" "email-ingest")')

    async def noop(self) -> None:
        """Send NOOP, so that the server reports new mail and does not time us out."""
        await self.command("NOOP")

    async def idle(self, seconds: float) -> None:
        """Wait until the folder has grown, at most ``seconds`` (RFC 2177). The server has to answer at the end, so a
        connection that died silently is noticed here.

        Raises:
            CommandRefused: the server refuses IDLE.
            ConnectionLost: the connection cannot be used any more.
        """
        before = self.arrivals
        tag = await self._send("IDLE")
        await self._until_idling(tag)
        clock = asyncio.get_running_loop().time
        until = clock() + seconds
        try:
            while self.arrivals == before:
                self._note(grammar.parse_response(await self._wire.receive(wait=max(0.0, until - clock()))))
        except NothingReceived:
            pass
        await self._wire.send(b"DONE\r\n")
        await self._until_tagged(tag, "IDLE")

    async def _until_idling(self, tag: str) -> None:
        while not isinstance(response := grammar.parse_response(await self._wire.receive()), Continuation):
            if isinstance(response, StatusResponse) and response.tag == tag:
                raise CommandRefused("IDLE", response)
            self._note(response)

    async def _until_tagged(self, tag: str, name: str) -> None:
        while True:
            response = grammar.parse_response(await self._wire.receive())
            if isinstance(response, StatusResponse) and response.tag == tag:
                self._accept(response, name)
                return
            self._note(response)

    async def logout(self) -> None:
        """Send LOGOUT and close the connection whatever the server answers. Raises nothing."""
        try:
            await self.command("LOGOUT")
        except (ConnectionLost, CommandRefused):
            pass  # BYE is the answer to LOGOUT
        finally:
            self.close()

    def close(self) -> None:
        """Close the connection at once, without LOGOUT."""
        self._wire.close()


def _parse_message(data: UntaggedData) -> FetchedMessage:
    found = grammar.fetch_items(data)
    uid, size = (grammar.numbers([found.get(name)]) for name in ("UID", "RFC822.SIZE"))
    date = found.get("INTERNALDATE")
    return FetchedMessage(
        uid=uid[0] if uid else None,
        size=size[0] if size else None,
        internal_date=date if isinstance(date, bytes) else b"",
        body=next((found[name] for name in BODY_ITEMS if name in found), None),
        header=next((value for name, value in found.items() if name.startswith(HEADER_ITEM)), None),
    )


def _texts(values: Iterable[Value]) -> Iterable[bytes]:
    return (value for value in values if isinstance(value, bytes))


def _octets(value: Value) -> bytes | None:
    return value if isinstance(value, bytes) else getattr(value, "octets", None)
