"""Recognises mail of machines by its words, where no field says so: absence notices, acknowledgements of other help
desks, and lines that only machines write. The words of each language are in ``ingest/languages/languages.toml``.

Words alone prove nothing. They make a private note, which keeps what a person may have written.
"""

import re
from collections.abc import Callable
from functools import cache

from ingest.authentication.author import named_sender
from ingest.languages import Language, Words, all_words, any_of
from ingest.screening.rule import ScreenedMail

MAX_SEARCHED_LINES = 12
"""Lines at the beginning of the new text in which a machine says that it is one."""
MAX_LINE_CHARACTERS = 300
"""How much of such a line is compared; the phrases are shorter."""
_MARKS = " \t*_#>-•※[(\\"
"""What may stand before the words of a line: marks of lists and of Markdown."""
_SENTENCE_END = re.compile(r"(?<=[.!])\s+")
_NUMBER = re.compile(r"\s*[(\[]?(?:n[°º]|nr\.|no\.)?\s?\\?#?(?:[A-Z]{1,6}-?)?\d[\w-]{0,24}[)\]]?(?=\s)")
"""The number of another desk's ticket, as it stands in a sentence."""
MAX_HTML_CHARACTERS = 20_000
"""How much of the HTML beside an invitation is searched for words; without any it is a frame of this size at most."""
_HTML_TAG = re.compile(r"<[^<>]{0,2000}>")
_TAG = re.compile(r"\[[^\[\]]{0,40}\d[^\[\]]{0,20}\]|(?:^|\W)[^\W\d]{2,3}\s?[:：]", re.IGNORECASE)
"""What the subject of the mail that is answered begins with: a tag such as ``[TAI-42]``, or ``Re:``."""

_PREFIX = r"[^\W\d]{2,3}\s?[:：]"
"""What stands before the subject of an answer or a forward, in any language: ``Re:``, ``AW:``."""
_BRACKETS = " \t[(<【「"
"""What a program may open before its phrase: ``[Autoreply] VPN``."""
_SEPARATORS = r":：\-–—|>«»\"()\[\]】」"
"""What a mail program puts between its phrase and the subject that it answers."""
MAX_SUBJECT_CHARACTERS = 300
"""How much of a subject is compared."""


@cache
def _phrases(words_of: Callable[[Language], Words]) -> re.Pattern[str]:
    return re.compile(any_of(all_words(words_of)), re.IGNORECASE)


def _absence(language: Language) -> Words:
    return language.out_of_office


def _automatic(language: Language) -> Words:
    return language.automatic_phrases


def _received(language: Language) -> Words:
    return language.received_notices


def _read(language: Language) -> Words:
    return language.read_receipts


def absence_notice(mail: ScreenedMail) -> str | None:
    """Recognise an absence notice by its subject: the phrase of a mail program alone, or with the subject that it
    answers behind it. "Out of office does not end" and "Out of office: the printer" are somebody's own subjects."""
    subject = mail.message.subject[:MAX_SUBJECT_CHARACTERS].strip()
    is_answer = _is_answer(mail)
    notice = _notice().match(subject.lstrip(_BRACKETS))
    is_notice = notice is not None and (not notice["answered"] or is_answer or bool(_TAG.search(notice["answered"])))
    is_notice = is_notice or (is_answer and _dated_notice().match(subject) is not None)
    is_notice = is_notice or _notes_notice().match(subject) is not None or _names_the_absent(mail, subject)
    return "it is an absence notice by its subject" if is_notice else None


def _is_answer(mail: ScreenedMail) -> bool:
    return bool(mail.message.in_reply_to or mail.message.references)


def _names_the_absent(mail: ScreenedMail, subject: str) -> bool:
    """Whether a subject says of the author that he is away, as programs write it: "Alice Archer is out of the office",
    "Autoreply from Alice Archer"."""
    author = named_sender(mail.message)
    name = author.display_name.strip().casefold() if author is not None else ""
    before, found, after = subject.casefold().partition(name) if name else ("", "", "")
    return bool(found) and _notice_without_name().match(f"{before} {after}".strip()) is not None


@cache
def _notice() -> re.Pattern[str]:
    """Return a pattern of a phrase of a mail program, or two ("Out of Office AutoReply"), alone or with the subject
    that it answers behind a separator or with a prefix of its own ("Out of office Re: VPN")."""
    phrase = any_of(all_words(_absence))
    return re.compile(
        rf"{phrase}(?:[\s\-]{{0,3}}{phrase})?[\s.!~]*(?:(?:[{_SEPARATORS}]|(?={_PREFIX}))(?P<answered>.*))?$",
        re.IGNORECASE | re.DOTALL,
    )


@cache
def _notice_without_name() -> re.Pattern[str]:
    """Return a pattern of a phrase with one small word before or behind it, where the name stood."""
    phrase = any_of(all_words(_absence))
    return re.compile(rf"(?:\w{{1,5}}\s+)?{phrase}(?:\s+\w{{1,4}})?[\s.!]*(?:[{_SEPARATORS}].*)?$", re.IGNORECASE)


@cache
def _notes_notice() -> re.Pattern[str]:
    """Return a pattern of Lotus Notes: ``AUTO: Alice is out of the office (returning 03/12/2026)``. ``Auto: `` alone
    may be about a car."""
    return re.compile(rf"auto\s*[:：]\s*(?:{_PREFIX}|.*(?<!\w){any_of(all_words(_absence))})", re.IGNORECASE)


@cache
def _dated_notice() -> re.Pattern[str]:
    """Return a pattern of a phrase with a date behind it."""
    return re.compile(rf"{any_of(all_words(_absence))}\s[^\[\]:]{{0,30}}\d[^\[\]:]{{0,12}}$", re.IGNORECASE)


def read_notice(mail: ScreenedMail) -> str | None:
    """Recognise a read receipt that is written for people alone, as Outlook writes it without the field that asks for
    a report: the subject that it answers with a word before it ("Read: VPN", "Gelesen: VPN")."""
    subject = mail.message.subject[:MAX_SUBJECT_CHARACTERS].strip()
    is_notice = _is_answer(mail) and _read_notice().match(subject) is not None
    return "it says that a mail was read, by its subject" if is_notice else None


@cache
def _read_notice() -> re.Pattern[str]:
    return re.compile(rf"{any_of(all_words(_read))}\s?[:：]", re.IGNORECASE)


def received_notice(mail: ScreenedMail) -> str | None:
    """Recognise the acknowledgement of another help desk by its subject. "Ticket received twice, why?" is a person's
    own question; "Ticket received: why?" is not."""
    subject = mail.message.subject[:MAX_SUBJECT_CHARACTERS].strip(_BRACKETS)
    found = _phrases(_received).match(subject)
    is_question = subject.endswith(("?", "？")) and re.search(f"[#{_SEPARATORS}]", subject) is None
    return "another system acknowledges a mail (by its subject)" if found and not is_question else None


def automatic_phrase(mail: ScreenedMail) -> str | None:
    """Recognise mail of which a line, or its second sentence, begins with words that only machines write. The number
    of a ticket between the words does not matter: "Your request (#123) has been received"."""
    begun = mail.new_words.lstrip().split("\n", MAX_SEARCHED_LINES)[:MAX_SEARCHED_LINES]
    lines = (line[:MAX_LINE_CHARACTERS] for line in begun)
    sentences = (sentence.lstrip(_MARKS) for line in lines for sentence in _SENTENCE_END.split(line, 2)[:2])
    is_automatic = any(_phrases(_automatic).match(_NUMBER.sub("", sentence)) for sentence in sentences)
    return "it says of itself that it is automatic" if is_automatic else None


def calendar_answer(mail: ScreenedMail) -> str | None:
    """Recognise an answer to an invitation in which nobody wrote a word (RFC 5546, METHOD:REPLY): mail programs and
    rooms send it by themselves."""
    events = mail.message.calendar
    if not events or any(event.method != "REPLY" or event.comment for event in events):
        return None
    bare = _HTML_TAG.sub("", (mail.message.html or "")[:MAX_HTML_CHARACTERS]).replace("&nbsp;", "")
    return None if (mail.message.text or "").strip() or bare.strip() else "it answers an invitation without a word"
