"""A disk under SQLite that can be made to fail, and that knows what a power cut would leave.

Files are real. Beside each one the disk keeps what has been synced, and what was written since: after a power cut the
first is there for certain, and of the second whatever the system happened to have written out, in any order.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import apsw


class Platter:
    """What is known of one file."""

    def __init__(self) -> None:
        self.synced = bytearray()
        self.pending: list[tuple[int, bytes | None]] = []
        """Writes since the last sync, in order: an offset and its octets, or a size to cut to and ``None``."""

    def sync(self) -> None:
        for change in self.pending:
            _apply(self.synced, *change)
        self.pending.clear()

    def after_power_cut(self, chance: random.Random) -> bytes:
        left = bytearray(self.synced)
        for change in chance.sample(self.pending, chance.randint(0, len(self.pending))):
            _apply(left, *change)
        return bytes(left)


def _apply(octets: bytearray, offset: int, written: bytes | None) -> None:
    if written is None:
        del octets[offset:]
        return
    octets.extend(bytes(max(0, offset - len(octets))))
    octets[offset : offset + len(written)] = written


class Disk(apsw.VFS):
    """The default file system of SQLite while it is ``mounted``."""

    def __init__(self) -> None:
        self.name = f"disk-{id(self):x}"
        self.lock = Lock()
        self.platters: dict[str, Platter] = {}
        self.write_error: Exception | None = None
        self.sync_error: Exception | None = None
        super().__init__(self.name, "unix", makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's name
        return _File(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802 - SQLite's name
        with self.lock:
            self.platters.pop(filename, None)
        super().xDelete(filename, syncdir)

    def cut_power(self, seed: int) -> dict[str, bytes]:
        """What would be left if the power failed now: file name -> octets."""
        with self.lock:
            chance = random.Random(seed)
            return {Path(name).name: platter.after_power_cut(chance) for name, platter in self.platters.items()}


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        super().__init__("unix", name, flags)
        self._disk = disk
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        with disk.lock:
            self._platter = disk.platters.setdefault(path, Platter()) if path else Platter()

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802 - SQLite's name
        if self._disk.write_error is not None:
            raise self._disk.write_error
        super().xWrite(data, offset)
        with self._disk.lock:
            self._platter.pending.append((offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - SQLite's name
        super().xTruncate(newsize)
        with self._disk.lock:
            self._platter.pending.append((newsize, None))

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        if self._disk.sync_error is not None:
            raise self._disk.sync_error
        super().xSync(flags)
        with self._disk.lock:
            self._platter.sync()


@contextmanager
def mounted() -> Iterator[Disk]:
    """A disk that every connection opened in the block lies on."""
    disk = Disk()
    try:
        yield disk
    finally:
        disk.unregister()
