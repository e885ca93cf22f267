"""Defects of a mail: what was wrong with it and was repaired or given up, as a kind that code compares and a sentence
for people."""

from dataclasses import dataclass

from ingest.model.described import DescribedStrEnum


class DefectKind(DescribedStrEnum):
    """The kinds of defects. The value is the word that is printed before the colon."""

    EMPTY = "empty", "The mail has nothing to read: no bytes at all, or only trace fields."
    NOT_MAIL = "not a mail", "No header field is there that a mail program writes; these bytes are not a mail."
    ENCRYPTED = "encrypted", "The content is encrypted; only its recipient could read it."
    CUT = "cut", "A limit was reached; what is beyond it was not read, and stays in the stored mail."
    NESTED = "nested", "More multiparts lie in each other than any mail program writes."
    HEADER = "header", "The header block was broken and was repaired."
    DUPLICATE = (
        "duplicate",
        "A field that may occur once occurs more often, which can show different things to different readers.",
    )
    ADDRESS = "address", "An address field does not follow RFC 5322, or has no address."
    DATE = "date", "The Date field does not follow RFC 5322, or cannot be read."
    CHARSET = "charset", "The declared charset is missing, unknown or wrong; another one was used."
    ENCODING = "encoding", "The transfer encoding is unknown, wrong or damaged."
    STRUCTURE = "structure", "The parts are not put together as MIME prescribes."
    BODY = "body", "The body was put together in an unusual way."
    ATTACHMENT = (
        "attachment",
        "A container (TNEF or S/MIME) is damaged or cannot be opened; it stays an attachment as it is.",
    )
    SIGNATURE = (
        "signature",
        "The mail is signed; the signature is not checked, is no attachment, and stays in the stored mail.",
    )
    INTERNAL = "internal", "A fault of the parser itself; the mail was read without the step that failed."


@dataclass(frozen=True, slots=True)
class Defect:
    """One defect of a mail. ``str()`` gives the sentence for people: ``charset: text none declared; written in
    cp1252``."""

    kind: DefectKind
    detail: str
    """What was found and what was done about it, in a few words."""

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}"
