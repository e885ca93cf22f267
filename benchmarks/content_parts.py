"""Checks whether parsing loses anything of a mail: looks for each leaf that the standard library finds in the result.

A leaf is a part that holds no others. It is found if its bytes are an attachment or occur in one as they were sent (the
parts of an attached mail), or if each of its lines is in one form of the body, in order. White space of texts does not
count, nor do the marks of quotes, which flowed text moves. No leaf is skipped: one that the standard library doubts is
looked for as well, and a text that does not fit its charset is looked for by its ASCII letters.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from pathlib import Path

from ingest.model.message import ParsedMessage
from ingest.parse import attachment_bytes, parse

_SHOWN_LEAVES = 40
"""Missing leaves that are printed one by one."""
_REPAIRED = "UTF-8 that says it is another charset: repaired"
_NO_HEADER = "the standard library gives the header up at a line that is no field; there ours has parts"
REASONS = {
    "application/ms-tnef": "winmail.dat was opened: its text and its files are there instead",
    "application/pkcs7-signature": "a signature is no content; it is named among the defects",
    "application/pgp-signature": "a signature is no content; it is named among the defects",
    "lhost-sendmail-54": "the standard library does not see that this is a multipart",
    "lhost-office365-08": _NO_HEADER,
    "lhost-office365-10": _NO_HEADER,
    "lhost-office365-12": _NO_HEADER,
    "raw_email_incorrect_header": _NO_HEADER,
    "example13": _NO_HEADER,
    "attachment_pdf_non_ascii": _REPAIRED,
    "attachment_pdf_non_ascii_lf": _REPAIRED,
    "content_transfer_encoding_7-bit": _REPAIRED,
    "content_transfer_encoding_empty": "the end of an HTML document in its middle was taken off",
    "raw_email11": "text/enriched: the same words are there without its marks",
}


@dataclass(frozen=True)
class _Parsed:
    """A parsed mail: the bytes of its attachments, the same without white space, and its body without white space."""

    octets: frozenset[bytes]
    files: tuple[bytes, ...]
    forms: tuple[str, ...]


def check_parts(paths: Sequence[Path]) -> None:
    """Print how many leaves were found again, and which were not."""
    leaves = 0
    missing: list[str] = []
    for path in paths:
        content = path.read_bytes()
        parsed = _squeezed(content, parse(content))
        for number, leaf in enumerate(_leaves(message_from_bytes(content))):
            leaves += 1
            if not _is_found(leaf, parsed):
                kind = leaf.get_content_type()
                reason = REASONS.get(kind) or REASONS.get(path.stem, "no reason: ours is wrong")
                missing.append(f"{path.parent.name}/{path.name}, leaf {number} ({kind}): {reason}")
    print(f"\nleaves with something in them, of {len(paths)} mails as the standard library reads them: {leaves}")
    print(f"found again: {leaves - len(missing)}; not found: {len(missing)}")
    for line in missing[:_SHOWN_LEAVES]:
        print(f"  {line}")


def _squeezed(content: bytes, message: ParsedMessage) -> _Parsed:
    octets = attachment_bytes(content, [file.part_number for file in message.attachments])
    files = tuple(b"".join(file.split()) for file in octets)
    forms = (message.text, message.html, "\n".join(map(str, message.calendar)))
    return _Parsed(frozenset(octets), files, tuple(_bare(form or "") for form in forms))


def _leaves(message: Message) -> Iterator[Message]:
    """All parts that hold no others, those of attached mails too."""
    if message.is_multipart():
        for part in message.get_payload():
            yield from _leaves(part) if isinstance(part, Message) else ()
    elif _decoded(message).strip():
        yield message


def _decoded(leaf: Message) -> bytes:
    payload = leaf.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _is_found(leaf: Message, parsed: _Parsed) -> bool:
    as_sent = b"".join(str(leaf.get_payload()).encode("utf-8", "surrogateescape").split())
    if _decoded(leaf) in parsed.octets or any(as_sent in file for file in parsed.files):
        return True
    if leaf.get_content_maintype() == "text" and b"".join(_decoded(leaf).split()) in parsed.files:
        return True
    text = _text(leaf)
    forms = parsed.forms if text is not None else tuple(_ascii(form) for form in parsed.forms)
    wanted = text if text is not None else _ascii(_decoded(leaf).decode("latin-1"))
    return any(_holds(form, wanted) for form in forms)


def _text(leaf: Message) -> str | None:
    for charset in (leaf.get_content_charset("us-ascii"), "utf-8"):
        try:
            return _decoded(leaf).decode(charset)
        except (LookupError, UnicodeDecodeError):
            continue
    return None


def _holds(form: str, text: str) -> bool:
    """Whether each line of a text is in a form of the body, in order."""
    position = 0
    for line in text.splitlines():
        bare = _bare(line)
        found = form.find(bare, position)
        if found < 0:
            return False
        position = found + len(bare)
    return True


def _bare(text: str) -> str:
    return "".join(text.split()).replace(">", "").replace("\x00", "")


def _ascii(text: str) -> str:
    return text.encode("ascii", "ignore").decode()
