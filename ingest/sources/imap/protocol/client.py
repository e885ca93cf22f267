"""One IMAP connection: commands, and the state that the server's untagged responses tell (RFC 3501).

A client for one job: read a folder, mark or move what was read, wait for more. One command runs at a time. Whatever
comes in between, an EXISTS, a BYE, a FETCH that nobody asked for, is understood or passed over, never an error.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from ingest.sources.imap.protocol import grammar, utf7
from ingest.sources.imap.protocol.grammar import Continuation, Data, Status, Unknown, Value
from ingest.sources.imap.protocol.uids import ranges
from ingest.sources.imap.protocol.wire import ConnectionLost, Silence, Wire

UIDS_A_COMMAND = 500
"""UIDs named in one command, which keeps its line below the 8,000 octets that servers take (RFC 7162 section 4)."""
BODY_ITEMS = ("BODY[]", "BODY[]<0>", "RFC822")
"""Under these names servers send what was asked for as BODY.PEEK[]."""

HEADER_ITEMS = ("BODY[HEADER]", "BODY[HEADER]<0>")


class Refused(Exception):
    """The server answered NO or BAD, or said BYE instead of an answer."""

    def __init__(self, command: str, status: Status) -> None:
        said = f"[{status.code}] {status.text}" if status.code else status.text
        super().__init__(f"the server answered {command} with {status.condition} {said}".strip())
        self.command = command
        self.status = status


class Bye(ConnectionLost):
    """The server said that it closes the connection, and why."""

    def __init__(self, status: Status) -> None:
        super().__init__(f"the server closed the connection: {status.text or 'it gave no reason'}")
        self.status = status


class NotImap(Exception):
    """Something answers at that address, and it speaks no IMAP."""


class Insecure(Exception):
    """The connection would go on in clear, so it does not go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a FETCH response tells of a message."""

    uid: int | None
    """``None``: the server left it out."""
    size: int | None = None
    internal_date: bytes = b""
    body: Value = None
    """The whole message; ``None`` where the server sent NIL or nothing."""
    header: Value = None


OnMessage = Callable[[Message], Awaitable[None]]


class Connection:
    """A connection to a server, greeted and, where asked for, under TLS.

    ``exists``, ``uid_validity`` and ``uid_next`` are what the server last said of the open folder; ``arrivals`` counts
    the messages by which it has ever grown, so that a change of it tells of new mail even where others delete."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._count = 0
        self.capabilities: frozenset[str] = frozenset()
        self.is_authenticated = False
        self.exists = 0
        self.arrivals = 0
        self.uid_validity = 0
        self.uid_next = 0
        self._found: list[int] = []
        self._folders: list[str] = []

    @classmethod
    async def open(
        cls, host: str, port: int, security: str, context: ssl.SSLContext, *, patience: float, max_literal: int
    ) -> "Connection":
        """Connect and read the greeting; with ``tls`` or ``starttls``, nothing goes on in clear if TLS fails.

        Raises:
            OSError, TimeoutError: no connection, or no TLS.
            NotImap, Insecure, Refused, ConnectionLost: as their names say.
        """
        implicit = context if security == "tls" else None
        wire = await Wire.connect(host, port, tls=implicit, patience=patience, max_literal=max_literal)
        connection = cls(wire)
        try:
            await connection._greet()
            if security == "starttls":
                await connection._start_tls(context, host)
            if not connection.capabilities:
                await connection.command("CAPABILITY")
        except BaseException:
            wire.close()
            raise
        return connection

    async def _greet(self) -> None:
        greeting = grammar.read(await self._wire.receive())
        if not isinstance(greeting, Status) or greeting.tag != "*":
            raise NotImap("what answers there does not greet as an IMAP server does")
        if greeting.condition == "BYE":
            raise Bye(greeting)
        self._note(greeting)
        self.is_authenticated = greeting.condition == "PREAUTH"

    async def _start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """What was said in clear is forgotten (RFC 3501 section 6.2.1). A PREAUTH greeting makes STARTTLS
        impossible, so it is taken for what an attacker would send."""
        if self.is_authenticated:
            raise Insecure("the server greets with PREAUTH, which rules STARTTLS out")
        try:
            await self.command("STARTTLS")
        except Refused as refusal:
            raise Insecure(f"the server does not start TLS ({refusal.status.text})") from refusal
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
    ) -> Status:
        """Send a command and take in what comes until its tagged answer, which is returned if it is OK.

        ``on_message`` is given each FETCH response as it arrives; ``on_challenge`` answers a continuation request.
        ``shown`` names the command in errors, where its arguments are secret.

        Raises:
            Refused: the answer is NO or BAD.
            ConnectionLost: the connection can't be used any more (``Bye``: the server said why).
        """
        tag = await self._send(name, *arguments)
        while True:
            response = grammar.read(await self._wire.receive())
            if isinstance(response, Continuation):
                await self._go_on(response, on_challenge)
            elif isinstance(response, Status) and response.tag == tag:
                return self._accept(response, shown or name)
            elif isinstance(response, Data) and response.name == "FETCH" and on_message:
                await on_message(_message(response))
            else:
                self._note(response)

    async def _send(self, name: str, *arguments: bytes) -> str:
        self._count += 1
        tag = f"i{self._count}"
        await self._wire.send(b" ".join([tag.encode(), name.encode(), *arguments]) + b"\r\n")
        return tag

    async def _go_on(self, request: Continuation, on_challenge: Callable[[bytes], bytes] | None) -> None:
        if on_challenge is None:
            raise ConnectionLost("the server waits for more of a command that was complete")
        await self._wire.send(on_challenge(request.text) + b"\r\n")

    def _accept(self, status: Status, name: str) -> Status:
        if status.condition != "OK":
            raise Refused(name, status)
        self._note(status)
        return status

    def _note(self, response: Status | Data | Continuation | Unknown) -> None:
        """Take in what a response says about the state of things."""
        if isinstance(response, Unknown):
            raise ConnectionLost("the server sent a line that is no IMAP response; the connection is out of step")
        if isinstance(response, Status):
            self._note_status(response)
        elif isinstance(response, Data):
            self._note_data(response)

    def _note_status(self, status: Status) -> None:
        if status.condition == "BYE":
            raise Bye(status)
        if status.tag != "*" and not status.tag.startswith("i"):
            raise ConnectionLost("the server answered a command that we did not send; the connection is out of step")
        if status.code == "CAPABILITY":
            self.capabilities = frozenset(status.argument.upper().split())
        elif status.code == "UIDVALIDITY" and status.argument.isdigit():
            self.uid_validity = int(status.argument)
        elif status.code == "UIDNEXT" and status.argument.isdigit():
            self.uid_next = int(status.argument)

    def _note_data(self, data: Data) -> None:
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
                self._folders.append(utf7.readable(name))

    async def select(self, folder: str, *, read_only: bool) -> None:
        """Open a folder; ``read_only`` opens it so that nothing in it can change (EXAMINE)."""
        self.uid_validity = self.uid_next = self.exists = self.arrivals = 0
        await self.command("EXAMINE" if read_only else "SELECT", utf7.mailbox(folder))

    async def search(self, criteria: str) -> list[int]:
        """The UIDs of the messages that meet ``criteria``, in order."""
        self._found = []
        await self.command("UID SEARCH", criteria.encode("ascii"))
        return sorted(set(self._found))

    async def fetch(self, uids: Iterable[int], items: str, on_message: OnMessage) -> None:
        """Have ``items`` of each message in ``uids``, at most ``UIDS_A_COMMAND``, given to ``on_message``."""
        await self.command("UID FETCH", ranges(uids).encode(), items.encode("ascii"), on_message=on_message)

    async def store(self, uids: Iterable[int], flag: str) -> None:
        """Set a flag, and leave the others as they are."""
        await self.command("UID STORE", ranges(uids).encode(), b"+FLAGS.SILENT", f"({flag})".encode("ascii"))

    async def move(self, uids: Iterable[int], folder: str) -> None:
        """Move messages to ``folder`` (RFC 6851)."""
        await self.command("UID MOVE", ranges(uids).encode(), utf7.mailbox(folder))

    async def copy(self, uids: Iterable[int], folder: str) -> None:
        """Copy messages to ``folder``."""
        await self.command("UID COPY", ranges(uids).encode(), utf7.mailbox(folder))

    async def expunge(self, uids: Iterable[int]) -> None:
        """Remove those of ``uids`` that are marked as deleted, and no others (RFC 4315)."""
        await self.command("UID EXPUNGE", ranges(uids).encode())

    async def folders(self) -> list[str]:
        """The names of all folders."""
        self._folders = []
        await self.command("LIST", b'""', b'"*"')
        return sorted(self._folders)

    async def identify(self) -> None:
        """Say who we are, where the server wants to know: some let nobody in who does not (RFC 2971)."""
        if "ID" in self.capabilities:
            await self.command("ID", b'("name" "email-ingest")')

    async def noop(self) -> None:
        """Ask for news, and show that we are there."""
        await self.command("NOOP")

    async def idle(self, seconds: float) -> None:
        """Wait until the folder holds a message more, at most ``seconds`` (RFC 2177). The server has to answer at
        the end, so a connection that is silently dead is noticed here."""
        before = self.arrivals
        tag = await self._send("IDLE")
        await self._until_idling(tag)
        clock = asyncio.get_running_loop().time
        until = clock() + seconds
        try:
            while self.arrivals == before:
                self._note(grammar.read(await self._wire.receive(wait=max(0.0, until - clock()))))
        except Silence:
            pass
        await self._wire.send(b"DONE\r\n")
        await self._until_answered(tag, "IDLE")

    async def _until_idling(self, tag: str) -> None:
        while not isinstance(response := grammar.read(await self._wire.receive()), Continuation):
            if isinstance(response, Status) and response.tag == tag:
                raise Refused("IDLE", response)
            self._note(response)

    async def _until_answered(self, tag: str, name: str) -> None:
        while True:
            response = grammar.read(await self._wire.receive())
            if isinstance(response, Status) and response.tag == tag:
                self._accept(response, name)
                return
            self._note(response)

    async def logout(self) -> None:
        """Say good-bye, and close whatever the server answers."""
        try:
            await self.command("LOGOUT")
        except (ConnectionLost, Refused):
            pass  # BYE is the answer to LOGOUT
        finally:
            self.close()

    def close(self) -> None:
        """Drop the connection at once."""
        self._wire.close()


def _message(data: Data) -> Message:
    found = grammar.fields(data)
    uid, size = (grammar.numbers([found.get(name)]) for name in ("UID", "RFC822.SIZE"))
    date = found.get("INTERNALDATE")
    return Message(
        uid=uid[0] if uid else None,
        size=size[0] if size else None,
        internal_date=date if isinstance(date, bytes) else b"",
        body=next((found[name] for name in BODY_ITEMS if name in found), None),
        header=next((found[name] for name in HEADER_ITEMS if name in found), None),
    )


def _texts(values: Iterable[Value]) -> Iterable[bytes]:
    return (value for value in values if isinstance(value, bytes))


def _octets(value: Value) -> bytes | None:
    return value if isinstance(value, bytes) else getattr(value, "octets", None)
