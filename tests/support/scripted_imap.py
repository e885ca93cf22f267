"""An IMAP server that says what a test tells it to: what real servers have been seen to send, and worse."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

Answer = Callable[[str, str], bytes | None]
"""Of a command's tag and the rest of its line: the whole answer, or ``None`` for the usual one."""
CLOSE = b"\0close"
"""At the end of an answer: then the server closes the connection."""


class ScriptedServer:
    """Holds ``mails`` by UID in its only folder. ``answers`` maps the beginning of a command to an odd answer."""

    def __init__(self, mails: dict[int, bytes]) -> None:
        self.mails = mails
        self.answers: dict[str, Answer] = {}
        self.greeting = b"* OK ready\r\n"
        self.capabilities = "IMAP4rev1 SASL-IR AUTH=PLAIN UIDPLUS MOVE"
        self.uid_validity = 7
        self.commands: list[str] = []
        self.port = 0
        self.tls: ssl.SSLContext | None = None
        """With it, TLS begins after the answer to STARTTLS."""
        self.max_line = 1_000_000
        """Octets of the longest command line that it takes; it drops the connection at a longer one."""
        self._writers: list[asyncio.StreamWriter] = []

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        writer.write(self.greeting)
        while line := await reader.readline():
            tag, _, command = line.decode().strip().partition(" ")
            self.commands.append(command)
            if len(line) > self.max_line:
                break
            if command.startswith("AUTHENTICATE") and len(command.split()) == 2:
                writer.write(b"+ \r\n")
                await reader.readline()
            answer = self._answer(tag, command)
            writer.write(answer.removesuffix(CLOSE))
            await writer.drain()
            if answer.endswith(CLOSE):
                break
            if command == "STARTTLS" and self.tls:
                await writer.start_tls(self.tls)
        writer.close()

    def _answer(self, tag: str, command: str) -> bytes:
        for start, answer in self.answers.items():
            if command.startswith(start) and (odd := answer(tag, command)) is not None:
                return odd
        return self.usual(tag, command)

    def usual(self, tag: str, command: str) -> bytes:
        """The answer of a well-behaved server."""
        name = command.upper()
        done = f"{tag} OK done\r\n".encode()
        if name.startswith("CAPABILITY"):
            return f"* CAPABILITY {self.capabilities}\r\n".encode() + done
        if name.startswith(("SELECT", "EXAMINE")):
            return self._selected() + done
        if name.startswith("UID SEARCH"):
            first = int(re.findall(r"\d+", command)[0])
            found = [str(uid) for uid in self.mails if uid >= first] or [str(max(self.mails, default=0))]
            return f"* SEARCH {' '.join(found)}\r\n".encode() + done
        if name.startswith("UID FETCH"):
            return b"".join(self.fetched(uid, command) for uid in self.named(command)) + done
        if name.startswith("LIST"):
            return b'* LIST () "/" INBOX\r\n' + done
        return done

    def _selected(self) -> bytes:
        return (
            f"* {len(self.mails)} EXISTS\r\n* 0 RECENT\r\n* FLAGS (\\Seen)\r\n"
            f"* OK [UIDVALIDITY {self.uid_validity}] valid\r\n* OK [UIDNEXT {max(self.mails, default=0) + 1}] next\r\n"
        ).encode()

    def named(self, command: str) -> list[int]:
        """The UIDs that a command names and that there are."""
        uids: list[int] = []
        for part in command.split()[2].split(","):
            first, _, last = part.partition(":")
            uids += range(int(first), int(last or first) + 1)
        return [uid for uid in uids if uid in self.mails]

    def sequence(self, uid: int) -> int:
        return sorted(self.mails).index(uid) + 1

    def fetched(self, uid: int, command: str) -> bytes:
        """The usual FETCH response of one message."""
        content, number = self.mails[uid], self.sequence(uid)
        if "RFC822.SIZE" in command:
            date = "01-Oct-2026 10:00:00 +0000"
            return f'* {number} FETCH (UID {uid} RFC822.SIZE {len(content)} INTERNALDATE "{date}")\r\n'.encode()
        if "HEADER" in command:
            content = content.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
            return b"* %d FETCH (UID %d BODY[HEADER]<0> {%d}\r\n%s)\r\n" % (number, uid, len(content), content)
        return b"* %d FETCH (UID %d BODY[] {%d}\r\n%s)\r\n" % (number, uid, len(content), content)

    def answer_bodies(self, answer: Callable[[str, int, bytes], bytes | None]) -> None:
        """Answer the fetching of bodies with what ``answer`` gives for tag, UID and usual response of each message;
        ``None`` means the usual one; after one that ends with ``CLOSE`` nothing more is sent."""

        def odd(tag: str, command: str) -> bytes | None:
            if "BODY.PEEK[]" not in command:
                return None
            pieces = []
            for uid in self.named(command):
                usual = self.fetched(uid, command)
                piece = answer(tag, uid, usual)
                pieces.append(usual if piece is None else piece)
                if pieces[-1].endswith(CLOSE):
                    return b"".join(pieces)
            return b"".join(pieces) + f"{tag} OK done\r\n".encode()

        self.answers["UID FETCH"] = odd

    async def __aenter__(self) -> "ScriptedServer":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1_000_000)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()


@asynccontextmanager
async def scripted(*mails: bytes) -> AsyncIterator[ScriptedServer]:
    """A server that holds ``mails`` under the UIDs 1, 2, ..., closed with the block."""
    async with ScriptedServer(dict(enumerate(mails, 1))) as server:
        yield server
