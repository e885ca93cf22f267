"""Makes the names of attachments safe to show, to store and to send on."""

import re

from ingest.parse.limits import MAX_FILENAME_CHARACTERS

_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_EXTENSIONS = {
    "application/gzip": ".gz",
    "application/json": ".json",
    "application/msword": ".doc",
    "application/ms-tnef": ".dat",
    "application/pdf": ".pdf",
    "application/pgp-encrypted": ".pgp",
    "application/pgp-signature": ".asc",
    "application/pkcs7-mime": ".p7m",
    "application/x-pkcs7-mime": ".p7m",
    "application/pkcs7-signature": ".p7s",
    "application/x-pkcs7-signature": ".p7s",
    "application/rtf": ".rtf",
    "application/vnd.ms-excel": ".xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "application/xml": ".xml",
    "application/zip": ".zip",
    "audio/mpeg": ".mp3",
    "audio/wav": ".wav",
    "audio/x-wav": ".wav",
    "image/bmp": ".bmp",
    "image/gif": ".gif",
    "image/heic": ".heic",
    "image/jpeg": ".jpg",
    "image/jpg": ".jpg",
    "image/png": ".png",
    "image/svg+xml": ".svg",
    "image/tiff": ".tiff",
    "image/webp": ".webp",
    "message/delivery-status": ".txt",
    "message/disposition-notification": ".txt",
    "message/global": ".eml",
    "message/rfc822": ".eml",
    "text/calendar": ".ics",
    "text/csv": ".csv",
    "text/html": ".html",
    "text/plain": ".txt",
    "text/rfc822-headers": ".txt",
    "text/rtf": ".rtf",
    "text/vcard": ".vcf",
    "text/x-vcard": ".vcf",
    "text/xml": ".xml",
    "video/mp4": ".mp4",
    "video/quicktime": ".mov",
}
"""Extension for each type. It is a table of our own because those of the system differ from machine to machine, and a
name must not."""
_MAX_EXTENSION_CHARACTERS = 20
"""Longest extension that is kept when a name is shortened; a longer one is no extension."""


def safe_filename(name: str, content_type: str, number: int) -> str:
    """Return the last component of any path in ``name``, without invisible and text-reversing characters.

    Double extensions stay as they are: the sender chose them, and a person should see them. If no name is left, one is
    made from the part's ``number`` and type, so that it is the same each time.
    """
    bare = _UNSAFE.sub("", name)
    bare = _DRIVE.split(bare)[-1].replace("\\", "/").rsplit("/", 1)[-1].strip(" .\t")
    if not bare:
        return f"attachment-{number}{_EXTENSIONS.get(content_type, '.bin')}"
    return _shortened(bare)


def _shortened(name: str) -> str:
    """Shorten a name to the limit and keep its extension."""
    if len(name) <= MAX_FILENAME_CHARACTERS:
        return name
    stem, dot, extension = name.rpartition(".")
    if not dot or len(extension) > _MAX_EXTENSION_CHARACTERS:
        return name[:MAX_FILENAME_CHARACTERS]
    return f"{stem[: MAX_FILENAME_CHARACTERS - len(extension) - 1]}.{extension}"
