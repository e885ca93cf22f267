"""Whether anything of a mail is lost: each part, as the standard library reads it, is looked for in what was parsed."""

import hashlib
from collections.abc import Iterator, Sequence
from email import message_from_bytes
from email.message import Message
from pathlib import Path

from ingest.message import ParsedMessage
from ingest.parse import attachment, parse

_SHOWN = 20
REASONS = {
    "application/ms-tnef": "winmail.dat was opened: its text and its files are there instead",
    "application/pkcs7-signature": "a signature is no content; it is named among the defects",
    "application/pgp-signature": "a signature is no content; it is named among the defects",
    "lhost-sendmail-54": "the standard library does not see that this is a multipart",
    "attachment_pdf_non_ascii": "UTF-8 that says it is ISO-8859-1: repaired",
    "attachment_pdf_non_ascii_lf": "UTF-8 that says it is ISO-8859-1: repaired",
    "content_transfer_encoding_7-bit": "UTF-8 that says it is ISO-8859-1: repaired",
    "raw_email11": "the plain alternative of the same words was chosen",
}


def check_parts(paths: Sequence[Path]) -> None:
    """Print how many parts were found again, and which were not."""
    parts = 0
    missing: list[str] = []
    for path in paths:
        content = path.read_bytes()
        message = parse(content)
        for number, part in enumerate(_readable(message_from_bytes(content))):
            parts += 1
            if not _is_found(part, content, message):
                kind = part.get_content_type()
                reason = REASONS.get(kind) or REASONS.get(path.stem, "no reason: ours is wrong")
                missing.append(f"{path.parent.name}/{path.name}, part {number} ({kind}): {reason}")
    print(f"\nparts of {len(paths)} mails that the standard library reads without a defect: {parts}")
    print(f"found again: {parts - len(missing)}; not found: {len(missing)}")
    for line in missing[:_SHOWN]:
        print(f"  {line}")


def _readable(message: Message) -> Iterator[Message]:
    """The leaves that the standard library has no doubt about; attached mails are attachments as a whole."""
    if message.get_content_maintype() == "message":
        return
    if message.is_multipart():
        for part in message.get_payload():
            yield from _readable(part) if isinstance(part, Message) else ()
    elif not message.defects and not message.get_content_type().startswith(("message/", "multipart/")):
        yield message


def _is_found(part: Message, content: bytes, message: ParsedMessage) -> bool:
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes) or not payload.strip():
        return True
    if any(hashlib.sha256(payload).hexdigest() == file.sha256 for file in message.attachments):
        return True
    if any(payload.split() == attachment(content, file.part).split() for file in message.attachments):
        return True
    return part.get_content_maintype() == "text" and _is_in_body(part, payload, message)


def _is_in_body(part: Message, payload: bytes, message: ParsedMessage) -> bool:
    """Each word of a text is in the body; a text that its charset does not fit is not for this reader to judge."""
    try:
        text = payload.decode(part.get_content_charset("us-ascii"))
    except (LookupError, UnicodeDecodeError):
        return True
    words = set(f"{message.text} {message.html} {message.calendar}".split())
    return words.issuperset(text.replace("\x00", "").split())
