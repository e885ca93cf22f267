"""Recognises mail of machines by its words, where no field says so: absence notices, acknowledgements of other help
desks, and lines that only machines write. The words of each language are in ``ingest/languages/languages.toml``.

Words alone prove nothing. They make a private note, which keeps what a person may have written.
"""

import re
from collections.abc import Callable
from functools import cache

from ingest.languages import Language, Words, all_words, any_of
from ingest.screening.rule import ScreenedMail

MAX_SEARCHED_LINES = 12
"""Lines at the beginning of the new text in which a machine says that it is one."""
MAX_LINE_CHARACTERS = 300
"""How much of such a line is compared; the phrases are shorter."""
MAX_HTML_CHARACTERS = 20_000
"""How much of the HTML beside an invitation is searched for words; without any it is a frame of this size at most."""
_HTML_TAG = re.compile(r"<[^<>]{0,2000}>")
_TAG = re.compile(r"\[[^\[\]]{0,40}\d[^\[\]]{0,20}\]|(?:^|\W)[^\W\d]{2,3}\s?[:：]", re.IGNORECASE)
"""What the subject of the mail that is answered begins with: a tag such as ``[TAI-42]``, or ``Re:``."""

_SEPARATORS = r":：\-–—|>«»\"(\["
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


def absence_notice(mail: ScreenedMail) -> str | None:
    """Recognise an absence notice by its subject: the phrase of a mail program alone, or with the subject that it
    answers behind it. "Out of office does not end" and "Out of office: the printer" are somebody's own subjects."""
    subject = mail.message.subject[:MAX_SUBJECT_CHARACTERS].strip()
    is_answer = bool(mail.message.in_reply_to or mail.message.references)
    notice = _notice().match(subject)
    is_notice = notice is not None and (not notice["answered"] or is_answer or bool(_TAG.search(notice["answered"])))
    is_notice = is_notice or (is_answer and _dated_notice().match(subject) is not None)
    return "it is an absence notice by its subject" if is_notice else None


@cache
def _notice() -> re.Pattern[str]:
    """Return a pattern of a phrase of a mail program, alone or with the subject that it answers behind a separator."""
    return re.compile(
        rf"{any_of(all_words(_absence))}[\s.!~]*(?:[{_SEPARATORS}](?P<answered>.*))?$", re.IGNORECASE | re.DOTALL
    )


@cache
def _dated_notice() -> re.Pattern[str]:
    """Return a pattern of a phrase with a date behind it."""
    return re.compile(rf"{any_of(all_words(_absence))}\s[^\[\]:]{{0,30}}\d[^\[\]:]{{0,12}}$", re.IGNORECASE)


def received_notice(mail: ScreenedMail) -> str | None:
    """Recognise the acknowledgement of another help desk by its subject."""
    subject = mail.message.subject.lstrip(" \t[(<【「")
    return "another system acknowledges a mail (by its subject)" if _phrases(_received).match(subject) else None


def automatic_phrase(mail: ScreenedMail) -> str | None:
    """Recognise mail of which a line begins with words that only machines write."""
    begun = mail.new_words.lstrip().split("\n", MAX_SEARCHED_LINES)[:MAX_SEARCHED_LINES]
    lines = (line[:MAX_LINE_CHARACTERS].lstrip(" \t*_#>-•※[(\\") for line in begun)
    is_automatic = any(_phrases(_automatic).match(line) for line in lines)
    return "it says of itself that it is automatic" if is_automatic else None


def calendar_answer(mail: ScreenedMail) -> str | None:
    """Recognise an answer to an invitation in which nobody wrote a word (RFC 5546, METHOD:REPLY): mail programs and
    rooms send it by themselves."""
    events = mail.message.calendar
    if not events or any(event.method != "REPLY" or event.comment for event in events):
        return None
    bare = _HTML_TAG.sub("", (mail.message.html or "")[:MAX_HTML_CHARACTERS]).replace("&nbsp;", "")
    return None if (mail.message.text or "").strip() or bare.strip() else "it answers an invitation without a word"
