"""A disk under SQLite that can be made to fail, and that knows what a power cut would leave.

The files are real. For each of them the disk also keeps what has been synced and what was written since. After a power
cut the first is there for certain; of the second, any part may have been written out, in any order.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import apsw


class DiskFile:
    """What has been synced of one file, and what was written since."""

    def __init__(self) -> None:
        self.synced = bytearray()
        self.pending: list[tuple[int, bytes | None]] = []
        """Writes since the last sync, in order: an offset and its bytes, or a size to truncate to and ``None``."""

    def sync(self) -> None:
        """Make all writes so far survive a power cut."""
        for change in self.pending:
            _apply(self.synced, *change)
        self.pending.clear()

    def after_power_cut(self, chance: random.Random) -> bytes:
        """Return what could be left after a power cut: all that was synced, and a random part of what was not."""
        left = bytearray(self.synced)
        for change in chance.sample(self.pending, chance.randint(0, len(self.pending))):
            _apply(left, *change)
        return bytes(left)


def _apply(content: bytearray, offset: int, written: bytes | None) -> None:
    if written is None:
        del content[offset:]
        return
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(written)] = written


class Disk(apsw.VFS):
    """A file system for SQLite, used by all its connections while ``mounted``.

    Set ``write_error`` or ``sync_error`` to make it fail."""

    def __init__(self) -> None:
        self.name = f"disk-{id(self):x}"
        self.lock = Lock()
        self.files: dict[str, DiskFile] = {}
        self.write_error: Exception | None = None
        self.sync_error: Exception | None = None
        super().__init__(self.name, "unix", makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's name
        return _File(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802 - SQLite's name
        with self.lock:
            self.files.pop(filename, None)
        super().xDelete(filename, syncdir)

    def cut_power(self, seed: int) -> dict[str, bytes]:
        """Return what could be left if the power failed now: file name -> content."""
        with self.lock:
            chance = random.Random(seed)
            return {Path(name).name: file.after_power_cut(chance) for name, file in self.files.items()}


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        super().__init__("unix", name, flags)
        self._disk = disk
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        with disk.lock:
            self._disk_file = disk.files.setdefault(path, DiskFile()) if path else DiskFile()

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802 - SQLite's name
        if self._disk.write_error is not None:
            raise self._disk.write_error
        super().xWrite(data, offset)
        with self._disk.lock:
            self._disk_file.pending.append((offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - SQLite's name
        super().xTruncate(newsize)
        with self._disk.lock:
            self._disk_file.pending.append((newsize, None))

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        if self._disk.sync_error is not None:
            raise self._disk.sync_error
        super().xSync(flags)
        with self._disk.lock:
            self._disk_file.sync()


@contextmanager
def mounted() -> Iterator[Disk]:
    """Put every SQLite connection that is opened in the block on a new ``Disk``."""
    disk = Disk()
    try:
        yield disk
    finally:
        disk.unregister()
