"""A client that sends given mails as fast as a server takes them: for sets of mails that smtp-source cannot make.

Several processes of several threads with bare sockets. The commands of a transaction go out together, as MTAs send
them to a server that announces PIPELINING, so that the client is not what is measured.
"""

import multiprocessing
import socket
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from benchmarks.mails import Mail

SECONDS = 300.0
"""How long a server may take for one answer, and for all mails."""


def send(port: int, mails: Sequence[Mail], *, sessions: int, processes: int = 2, run: str) -> float:
    """Seconds that ``sessions`` connections take to have all ``mails`` accepted.

    ``run`` is written into each mail, so that a store that knows mails again takes those of each run for new."""
    context = multiprocessing.get_context("fork")
    ready = context.Barrier(processes + 1)

    def work(share: Sequence[Mail]) -> None:
        ready.wait(SECONDS)
        threads = sessions // processes
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(partial(_session, port, run), [share[number::threads] for number in range(threads)]))

    workers = [context.Process(target=work, args=(mails[number::processes],)) for number in range(processes)]
    for worker in workers:
        worker.start()
    ready.wait(SECONDS)
    began = time.perf_counter()
    for worker in workers:
        worker.join(SECONDS)
    seconds = time.perf_counter() - began
    if any(worker.exitcode != 0 for worker in workers):
        raise SystemExit("not every mail was accepted: see above")
    return seconds


def _session(port: int, run: str, mails: Sequence[Mail]) -> None:
    with socket.create_connection(("127.0.0.1", port), SECONDS) as connection, connection.makefile("rb") as replies:
        _expect(replies.readline(), b"220")
        connection.sendall(b"EHLO client.example\r\n")
        while (line := replies.readline())[3:4] == b"-":
            pass
        _expect(line, b"250")
        for mail in mails:
            path = f"MAIL FROM:<{mail.sender}>\r\nRCPT TO:<{mail.recipient}>\r\nDATA\r\n"
            connection.sendall(path.encode())
            for code in (b"250", b"250", b"354"):
                _expect(replies.readline(), code)
            connection.sendall(f"X-Run: {run}\r\n".encode() + _stuffed(mail.content) + b"\r\n.\r\n")
            _expect(replies.readline(), b"250")
        connection.sendall(b"QUIT\r\n")
        _expect(replies.readline(), b"221")


def _stuffed(content: bytes) -> bytes:
    return content.replace(b"\r\n.", b"\r\n..")


def _expect(reply: bytes, code: bytes) -> None:
    if not reply.startswith(code):
        raise SystemExit(f"expected {code.decode()}, got {reply!r}")
