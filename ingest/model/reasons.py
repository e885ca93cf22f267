"""The reasons for which a stretch of a body is cut, or a body is kept whole: an enum that code compares, how far each
reason can be trusted, and the text that is printed for people."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

_MAX_LANGUAGES_NAMED = 3
"""Languages that a reason names. Close relatives share words (Danish, Norwegian, Swedish), so that three say enough."""


class CutReason(StrEnum):
    """What a stretch of the body was recognised by. The value is the text that ``explain`` prints."""

    meaning: str
    """One sentence for people who read the output of ``explain``."""
    with_detail: str
    """The text that is printed where a detail is known; ``{}`` stands for the detail."""
    printed: str
    """The text that is printed where no detail is known: the value, unless two reasons are one for people."""

    def __new__(cls, value: str, meaning: str, with_detail: str = "", printed: str = "") -> "CutReason":
        """Make a member whose value is ``value``; without ``with_detail``, a detail is printed in brackets."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        member.printed = printed or value
        member.with_detail = with_detail or f"{member.printed} ({{}})"
        return member

    ATTRIBUTION = (
        "attribution",
        "A line such as `On <date>, <name> wrote:`; the detail names its languages, or the mail program.",
    )
    HEADER_BLOCK = (
        "header block",
        "Header lines (From, Sent, To, Subject) above a quoted mail; the detail names their languages.",
    )
    ORIGINAL_MESSAGE = (
        "original message",
        "A separator such as `-----Original Message-----` above a quoted mail; the detail names its languages.",
    )
    FORWARDED_MESSAGE = (
        "forwarded message",
        "A separator such as `---------- Forwarded message`, or a subject such as `Fwd: ...`, above a mail passed on.",
    )
    OTHER_MAIL = (
        "header of another mail",
        "Header lines whose subject is not that of this mail: the sender pasted them to be looked at.",
    )
    QUOTE_MARKS = ("quote marks", "The lines begin with `>`.")
    TICKET_TEXT = ("text that was sent", "The lines repeat a text that the ticket sent to this sender.")
    REPLY_ABOVE = (
        "reply-above marker",
        "A line such as `Reply above this line`, which a help desk puts above what it sends.",
    )
    SIGNATURE = ("signature", "A line of dash, dash, space (RFC 3676 section 4.3) with a signature below it.")
    LOOSE_SIGNATURE = (
        "loose signature",
        "A line of dashes without the space, or a rule, with a few short lines below it; printed as `signature`.",
        "",
        "signature",
    )
    BANNER = (
        "banner",
        "A line such as `CAUTION: external sender`, which the mail server of the help desk puts on top of a mail.",
    )
    RULE = ("rule", "A line of dashes or underscores directly above a quote.")
    DEVICE_LINE = ("device line", "A line that a telephone or a mail program adds, such as `Sent from my iPhone`.")
    FOOTER = ("footer", "A legal notice, the data of a company, or the footer of a list or a virus scanner.")
    CLIENT_MARKUP = (
        "client markup",
        "An HTML class or attribute by which a mail program marks quotes and signatures; printed is its name alone.",
        "{}",
    )
    CLIENT_MARKUP_LEAD = (
        "client markup lead",
        "Text between the start of a mail program's marked quote and the quoted text: its attribution in any language.",
        "{} lead",
    )
    NOTHING_LEFT = ("whole, nothing else was left", "All of the body was recognised as quoted; it is kept whole.")
    OVER_LIMIT = ("whole, over the limit", "The body has too many characters or lines to be read; it is kept whole.")
    READING_FAILED = (
        "whole, reading failed",
        "An unexpected error stopped the reading; the body is kept whole. The detail is the class of the error.",
        "whole, {} while reading it",
    )


class Confidence(IntEnum):
    """How sure a cut is. A greater level is surer, so that ``min`` gives the level of the least sure cut."""

    GUESSED = 1
    """The words alone say so, and a person might have written them."""
    LIKELY = 2
    """Mail programs write this, and hardly any person does."""
    CERTAIN = 3
    """Markup, a standard or a comparison with the ticket proves it; also the level where nothing was cut."""

    @property
    def label(self) -> str:
        """The name for people and for JSON: ``certain``, ``likely`` or ``guessed``."""
        return self.name.lower()


CONFIDENCE_OF = {
    CutReason.ATTRIBUTION: Confidence.LIKELY,
    CutReason.HEADER_BLOCK: Confidence.LIKELY,
    CutReason.ORIGINAL_MESSAGE: Confidence.LIKELY,
    CutReason.FORWARDED_MESSAGE: Confidence.LIKELY,
    CutReason.OTHER_MAIL: Confidence.GUESSED,
    CutReason.QUOTE_MARKS: Confidence.LIKELY,
    CutReason.TICKET_TEXT: Confidence.CERTAIN,
    CutReason.REPLY_ABOVE: Confidence.LIKELY,
    CutReason.SIGNATURE: Confidence.CERTAIN,
    CutReason.LOOSE_SIGNATURE: Confidence.GUESSED,
    CutReason.BANNER: Confidence.LIKELY,
    CutReason.RULE: Confidence.LIKELY,
    CutReason.DEVICE_LINE: Confidence.LIKELY,
    CutReason.FOOTER: Confidence.GUESSED,
    CutReason.CLIENT_MARKUP: Confidence.CERTAIN,
    CutReason.CLIENT_MARKUP_LEAD: Confidence.LIKELY,
    CutReason.NOTHING_LEFT: Confidence.CERTAIN,
    CutReason.OVER_LIMIT: Confidence.CERTAIN,
    CutReason.READING_FAILED: Confidence.CERTAIN,
}
"""The level of each reason. The last three cut nothing: the body is kept whole."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """A reason with its detail, such as the language of an attribution. ``str()`` gives the text for people:
    ``attribution (German)``, ``gmail_quote``."""

    reason: CutReason
    detail: str = ""
    """The languages, the mail program, the mark or the class of an error; ``""`` where there is nothing to add."""

    @property
    def confidence(self) -> Confidence:
        """How far the reason can be trusted."""
        return CONFIDENCE_OF[self.reason]

    def __str__(self) -> str:
        return self.reason.with_detail.format(self.detail) if self.detail else self.reason.printed


def in_languages(reason: CutReason, languages: tuple[str, ...]) -> Recognised:
    """Return ``reason`` with the names of the first three ``languages`` as its detail."""
    return Recognised(reason, "/".join(languages[:_MAX_LANGUAGES_NAMED]))
