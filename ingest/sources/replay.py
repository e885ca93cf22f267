"""Reads mail from files: single messages (``.eml``), mbox files, Maildirs, and folders of all of these.

Files are read as streams, so a mailbox of any size needs only the memory of its largest mail below the limit. Bytes are
kept as found, line ends too; only what mbox added is removed (RFC 4155, in its "mboxrd" dialect): the ``From `` line,
the blank line before the next one, and one ``>`` of a ``>From `` line.
"""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email.utils import getaddresses
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO

from ingest.model.envelope import Envelope, ReceivedMessage, SourceRef
from ingest.parse.defect_log import DefectLog
from ingest.parse.mime import header

SOURCE_NAME = "replay"
MAX_HEADER_BYTES = 256 * 1024
"""The envelope is looked for in this many bytes of a mail; header sections of real mail are smaller."""
MAX_FIELD_CHARACTERS = 8 * 1024
"""Longer header fields are cut before addresses are parsed from them, which bounds the time that takes."""
MAX_RECIPIENTS = 100
"""Most recipients of an envelope; RFC 5321 section 4.5.3.1.8 has servers accept at least as many."""

_LINE_BYTES = 64 * 1024
"""Longer lines are read in pieces, so that a file without line ends does not fill memory."""
_FROM_LINE = re.compile(rb"From [^\n]{1,300}?\d\d:\d\d[^\n]{0,60}?\d{4}")
_QUOTED_FROM = re.compile(rb">+From ")
_BLANK_LINES = (b"\n", b"\r\n")
_ONE_MAIL, _MANY_MAILS = (".eml",), (".mbox", ".mbx")
_DELIVERY_FIELDS = ("Delivered-To", "X-Original-To", "Envelope-To")


class ReplayError(Exception):
    """Paths cannot be replayed at all. The text has a line for each that says what is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMail:
    """A mail that was read from a file."""

    path: str
    """Path of the file; in an mbox followed by the number of the mail, from 1: ``support.mbox#3``."""
    content: bytes
    mbox_sender: str = ""
    """The envelope sender that an mbox keeps in its ``From `` line; ``""`` if it is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedMail:
    """A mail or file that was found and is not replayed."""

    path: str
    reason: str
    foreign: bool = False
    """The file lies in a folder and does not look like mail, so skipping it is no fault."""


def check_paths(paths: Iterable[Path]) -> None:
    """Check before anything is read that all paths exist.

    Raises:
        ReplayError: with one line for each path that does not exist.
    """
    missing = [f"{path}: no such file or folder" for path in paths if not path.exists()]
    if missing:
        raise ReplayError("\n".join(missing))


def total_bytes(paths: Iterable[Path]) -> int:
    """Return the bytes of all files below ``paths``, for a progress bar."""
    return sum(path.stat().st_size for top in paths for path, _ in _files(top) if path.is_file())


def read_mails(paths: Iterable[Path], *, limit: int) -> Iterator[FileMail | SkippedMail]:
    """Yield all mails below ``paths`` in the order of their names. ``limit`` is the most bytes that a mail may have.

    A file that is given itself is treated as mail whatever its name; in a folder only files that look like mail are.
    Never raises: what cannot be read is yielded as ``SkippedMail``.
    """
    for top in paths:
        for path, named in _files(top):
            try:
                yield from _read_file(path, named=named, limit=limit)
            except OSError as error:
                yield SkippedMail(path=str(path), reason=error.strerror or str(error))


def received_message(mail: FileMail, *, received_at: float) -> ReceivedMessage:
    """Return the mail as a source hands it over. Its envelope is taken from what the delivering server recorded
    (Return-Path, Delivered-To, X-Original-To, Envelope-To), else from the sender's fields (Sender, From; To, Cc)."""
    return ReceivedMessage(
        envelope=_envelope(mail),
        content=mail.content,
        source_ref=SourceRef(source=SOURCE_NAME),
        received_at=received_at,
    )


def _files(top: Path) -> Iterator[tuple[Path, bool]]:
    """Yield each file below ``top``, and whether it is mail whatever its name: given by the user, or in a Maildir."""
    if not top.is_dir():
        yield top, True
        return
    for folder, folders, names in os.walk(top):
        is_maildir = {"cur", "new"} <= set(folders)
        folders[:] = sorted(name for name in folders if not (is_maildir and name == "tmp"))
        in_maildir = Path(folder).name in ("cur", "new") and _is_maildir(Path(folder).parent)
        paths = (Path(folder, name) for name in sorted(names))
        yield from ((path, in_maildir) for path in paths if path.is_file())


def _is_maildir(folder: Path) -> bool:
    return (folder / "cur").is_dir() and (folder / "new").is_dir()


def _read_file(path: Path, *, named: bool, limit: int) -> Iterator[FileMail | SkippedMail]:
    suffix = path.suffix.lower()
    with path.open("rb") as file:
        is_mbox = suffix not in _ONE_MAIL and _FROM_LINE.match(file.peek(512)) is not None
        if is_mbox:
            yield from _read_mbox(file, str(path), limit)
        elif named or suffix in (*_ONE_MAIL, *_MANY_MAILS):
            yield _mail(str(path), file.read(limit + 1), limit)
        else:
            yield SkippedMail(
                path=str(path), reason="looks like no mail: neither .eml nor mbox nor Maildir", foreign=True
            )


def _read_mbox(file: BinaryIO, path: str, limit: int) -> Iterator[FileMail | SkippedMail]:
    for number, group in groupby(_numbered_lines(file), key=itemgetter(0)):
        lines = (line for _, line in group)
        sender = _mbox_sender(next(lines))
        content = _without_last_blank_line(_join(lines, limit))
        yield _mail(f"{path}#{number}", content, limit, sender)


def _numbered_lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of an mbox, each with the number of its message; a message begins with its ``From `` line.
    Lines longer than ``_LINE_BYTES`` come in pieces."""
    number, begins, after_blank = 0, True, True
    while line := file.readline(_LINE_BYTES):
        if after_blank and _FROM_LINE.match(line):
            number += 1
        yield number, line[1:] if begins and _QUOTED_FROM.match(line) else line
        after_blank = begins and line in _BLANK_LINES
        begins = line.endswith(b"\n")


def _join(lines: Iterable[bytes], limit: int) -> bytes:
    """Join the lines; of a mail above the limit only as many as show that it is too large."""
    content = bytearray()
    for line in lines:
        if len(content) <= limit + 2:
            content += line
    return bytes(content)


def _without_last_blank_line(content: bytes) -> bytes:
    return next((content[: -len(end)] for end in (b"\r\n", b"\n") if content.endswith(b"\n" + end)), content)


def _mail(path: str, content: bytes, limit: int, mbox_sender: str = "") -> FileMail | SkippedMail:
    if len(content) > limit:
        return SkippedMail(path=path, reason=f"larger than {limit} bytes; raise INGEST_MAX_MESSAGE_BYTES to take it")
    return FileMail(path=path, content=content, mbox_sender=mbox_sender)


def _mbox_sender(from_line: bytes) -> str:
    """Return the sender if it is an address: some programs write ``-``, MAILER-DAEMON or a number ``@xxx`` there."""
    word = from_line.split(maxsplit=2)[1].decode("utf-8", "replace").strip("<>")
    return word if _is_address(word) and "." in word.rpartition("@")[2] else ""


def _envelope(mail: FileMail) -> Envelope:
    fields = _fields(mail.content)
    recipients = _addresses(fields, *_DELIVERY_FIELDS) or _addresses(fields, "To", "Cc")
    senders = _addresses(fields, "Return-Path") or (mail.mbox_sender,) * bool(mail.mbox_sender)
    is_report = not senders and _first(fields, "Return-Path") == "<>"
    return Envelope(
        mail_from="" if is_report else next(iter(senders or _addresses(fields, "Sender", "From")), ""),
        rcpt_tos=recipients,
    )


Fields = list[tuple[str, str]]


def _fields(content: bytes) -> Fields:
    """Return the header fields as the parser will see them, without anything that a file may have before them."""
    fields = header.parse_message_header(content[:MAX_HEADER_BYTES], DefectLog()).fields
    unfolded = ((name, " ".join(value.decode("utf-8", "surrogateescape").split())) for name, value in fields)
    return [(name, value[:MAX_FIELD_CHARACTERS]) for name, value in unfolded]


def _first(fields: Fields, name: str) -> str:
    return next((value.strip() for field, value in fields if field == name.lower()), "")


def _addresses(fields: Fields, *names: str) -> tuple[str, ...]:
    """Return the addresses in the fields ``names``, in the order of ``names`` and then of the mail, each once."""
    values = [value for name in names for field, value in fields if field == name.lower()]
    found = (address for _, address in getaddresses(values[:MAX_RECIPIENTS]))
    return tuple(dict.fromkeys(filter(_is_address, found)))[:MAX_RECIPIENTS]


def _is_address(text: str) -> bool:
    local, _, domain = text.rpartition("@")
    return bool(local and domain) and text.isprintable() and " " not in text and len(text) <= 320
