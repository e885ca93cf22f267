"""Memory of the SMTP listener while one client sends without a line end, and without any end.

    python -m benchmarks.memory [--megabytes 400] [--json]

The listener is a process of its own, with its default settings; resident memory is read from /proc every few
milliseconds while the client sends. The bound is twice the size limit. Growth within a message below the limit, which
is legitimate, is shown beside it."""

import argparse
import contextlib
import json
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from os import environ

from benchmarks import mails
from benchmarks.processes import free_port, resident_bytes, started
from ingest.config.settings import MiB, Settings

PIECE = b"x" * (64 * 1024)


class DatabaseWatch:
    """The most resident memory that a process had while it was watched."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._done = threading.Event()
        self.before = self.most = resident_bytes(pid)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        thread = threading.Thread(target=self._look)
        thread.start()
        try:
            yield
        finally:
            self._done.set()
            thread.join()

    @property
    def growth(self) -> int:
        return self.most - self.before

    def _look(self) -> None:
        while not self._done.wait(0.002):
            self.most = max(self.most, resident_bytes(self._pid))


def growth(octets: int, *, ended: bool) -> int:
    """Octets by which the listener grows while one client sends a line of ``octets``; ``ended``: a whole mail."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        worker = [sys.executable, "-m", "benchmarks.accept_worker", folder, str(port), mails.DOMAIN]
        with started(worker, environ, port) as pid, socket.create_connection(("127.0.0.1", port)) as client:
            _begin(client)
            watch = DatabaseWatch(pid)
            with watch.watching(), contextlib.suppress(ConnectionError):
                for _ in range(octets // len(PIECE)):
                    client.sendall(PIECE)
                client.sendall(b"\r\n.\r\n" if ended else b"")
                client.shutdown(socket.SHUT_WR)
                while client.recv(4096):
                    pass
            return watch.growth


def _begin(client: socket.socket) -> None:
    client.sendall(f"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<help@{mails.DOMAIN}>\r\nDATA\r\n".encode())
    heard = b""
    while b"354 " not in heard:
        heard += client.recv(4096)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=400, help="what the client sends without a line end")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args(arguments)
    limit = Settings(domains=(mails.DOMAIN,)).max_message_bytes
    without_end = growth(options.megabytes * MiB, ended=False)
    whole = growth(limit - 64 * 1024, ended=True)
    if options.json:
        facts = {"limit_bytes": limit, "growth_without_end_bytes": without_end, "growth_largest_mail_bytes": whole}
        print(json.dumps(facts | {"ratio": round(without_end / limit, 3)}))
        return
    print(f"size limit {limit / MiB:.0f} MiB")
    print(
        f"{options.megabytes} MiB without an end: +{without_end / MiB:.0f} MiB, {without_end / limit:.2f} of the limit"
    )
    print(f"a mail of just the limit, stored: +{whole / MiB:.0f} MiB, {whole / limit:.2f} of the limit")


if __name__ == "__main__":
    main()
