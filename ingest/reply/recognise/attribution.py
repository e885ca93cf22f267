"""Finds attributions such as ``On <date>, <name> wrote:``, in any language, on one line or wrapped over several.

Instead of one pattern per mail program, clues are added up: an address, a date, a time, a verb, an opening word, a
colon at the end, and quoted lines below. A language that the table does not list is recognised by the clues that need
no words. All patterns run on at most ``_MAX_CHARACTERS`` of joined lines, and none can backtrack over more than that.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from ingest.languages import all_languages, all_words, languages_by_word
from ingest.model.reasons import CutReason, Recognised, in_languages
from ingest.reply.lines import LOCAL_PART, BodyLine

_MAX_LINES = 6
"""An attribution is looked for over this many lines at most. Programs wrap it over two or three; a few more allow for
blank lines around the address."""
_MAX_CHARACTERS = 400
"""No attribution is longer than this many characters. It also bounds the cost of the patterns."""
_VERB_TAIL_CHARACTERS = 40
"""The verb is looked for in this many characters at the end of a line: it stands last, before a colon or a name."""
_MAX_NAME_CHARACTERS = 60
"""A line below the verb that is longer than this many characters is a sentence, not a name."""
_MAX_WORK = 40_000
"""So much work is done for the attributions of one body: 1 for each line that is read, and more for each text
that is weighed. It bounds the time of a hostile body to a fraction of a second; an attribution takes about 20, and
a mail has few."""
_CHARACTERS_PER_WORK = 20
"""A text that is weighed counts as work of 1 for so many of its characters."""
_SHORT_CHARACTERS = 60
"""``Jane Doe wrote:`` has no date and no address. Above this many characters it is taken for a sentence."""
_SHORT_WORDS = 6
"""An attribution without a date and an address has at most this many words: a name of up to five, and the verb."""
_FIRST_WORD_CHARACTERS = 40
"""The first word is looked for in this many characters; no opener is longer."""
_DIGIT_SEARCH_CHARACTERS = 60
"""Chinese, Japanese, Korean and Thai attributions have a digit of their date in this many characters."""
_QUOTE_SEARCH_LINES = 4
"""Lines below an attribution in which the quote has to begin: up to three blank ones stand between."""

_UNSPACED_SCRIPT = re.compile(r"[\u0e00-\u0e7f\u1100-\u11ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]")
"""Letters of Thai, Korean, Japanese and Chinese, where words are not parted by spaces."""
_ADDRESS = re.compile(rf"{LOCAL_PART}@(?:[\w-]{{1,63}}\.[\w.-]{{1,190}}|(?=\W|$))")
_MARKED_ADDRESS = re.compile(r"[<(\[][\w.+=-]{1,64}@|@[\w.-]{3,255}[>)\]]? ?:$")
_YEAR = r"(?:19|20|25)\d{2}"
_DATE = re.compile(
    rf"(?<!\d)(?:\d{{1,4}} ?[./-] ?\d{{1,2}} ?[./-] ?\d{{1,4}}|{_YEAR} ?[年년]|{_YEAR}(?!\d)|\d{{1,2}}月 ?\d{{1,2}}日)"
    r"|[١٢]\d{3}|[۱۲]\d{3}"
)
_TIME = re.compile(r"(?<![\d:.])\d{1,2} ?[:：.h] ?\d{2}(?![\d.])|[时時시] ?\d{1,2} ?[分분]|\d{1,2} ?(?:am|pm)\b")
_LOG_STAMP = re.compile(r"[\[(]?\d{2,4}[./-]\d{1,2}[./-]\d{1,4}")
"""The date at the beginning of a line of a log."""
_QUOTE_BEGINS = re.compile(r"[:：](?:[ \t\xa0]{2,}(?=\S)|[ \t\xa0](?=\\?>[ \t]))")
_SENTENCE_END = re.compile(r"[.!?…)][ \t]+|[。！？][ \t]*")
_SENTENCE_END_OR_CAPITAL = re.compile(rf"{_SENTENCE_END.pattern}|[ \t]+(?=[A-ZÀ-ÖØ-Þ])")
_MAX_STARTS_TRIED = 8
"""In one line an attribution is tried at this many positions at most, those nearest to its end, to bound the cost."""
_ZONE = re.compile(r"(?:gmt|utc) ?[+-]\d")
_COLONS = (":", "：", "﹕", "፦", "៖", "՝")
_ENDINGS = (*_COLONS, "--")


@cache
def _languages_by_verb() -> dict[str, tuple[str, ...]]:
    return languages_by_word(lambda language: language.attribution_verbs)


@cache
def _verb_pattern() -> re.Pattern[str]:
    spaced = [verb for verb in _languages_by_verb() if not _UNSPACED_SCRIPT.search(verb)]
    unspaced = [verb for verb in _languages_by_verb() if _UNSPACED_SCRIPT.search(verb)]
    return re.compile(rf"(?<!\w)(?:{_longest_first(spaced)})(?!\w)|(?:{_longest_first(unspaced)})")


def _longest_first(words: Sequence[str]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


@cache
def _weekdays() -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{_longest_first(list(all_words(lambda language: language.weekdays)))})(?!\w)")


@cache
def _openers() -> frozenset[str]:
    return frozenset(all_words(lambda language: language.attribution_openers))


@cache
def _sentence_openers() -> dict[str, frozenset[str]]:
    return {language.name: frozenset(language.sentence_openers) for language in all_languages()}


@cache
def _pronouns() -> dict[str, frozenset[str]]:
    return {language.name: frozenset(language.pronouns) for language in all_languages()}


@dataclass(frozen=True, slots=True)
class Attribution:
    """An attribution that was found."""

    stop: int
    """The index of the line after its last one."""
    languages: tuple[str, ...]
    """The names of the languages that have its verb; empty if it was found without a verb."""
    needs_no_marks: bool
    """True if the attribution alone proves that what follows is quoted, even if nothing marks the quote."""

    @property
    def reason(self) -> Recognised:
        """Such as ``attribution (German)``."""
        return in_languages(CutReason.ATTRIBUTION, self.languages)


class AttributionFinder:
    """Finds the attributions of one body. A line is looked at once, and the costly look at what may be an attribution
    is taken a bounded number of times, so that the cost is linear in the number of lines and small for hostile ones."""

    def __init__(self, lines: Sequence[BodyLine]) -> None:
        self._lines = lines
        self._found: dict[int, Attribution | None] = {}
        self._scales = _Scales(lines)

    def find(self, start: int) -> Attribution | None:
        """Return the attribution that begins at line ``start``, or ``None``."""
        if start not in self._found:
            self._found[start] = _find(self._lines, start, self._scales)
        return self._found[start]


class _Scales:
    """Weighs texts until so much work was done; whatever comes after that is no attribution."""

    def __init__(self, lines: Sequence[BodyLine] = ()) -> None:
        self._lines = lines
        self._has_verb: dict[int, bool] = {}
        self.left = _MAX_WORK

    def weigh(self, joined: str, lines: Sequence[BodyLine], stop: int) -> "Attribution | None":
        """Return the attribution that the joined lines above ``stop`` are, if their clues suffice."""
        self.left -= 1 + len(joined) // _CHARACTERS_PER_WORK
        return _weigh(joined, lines, stop) if self.left >= 0 else None

    def may_end(self, joined: str, at: int) -> bool:
        """Return quickly whether an attribution may end with line ``at``: at a colon, dashes, an address or the verb,
        or anywhere if it begins with a date."""
        self.left -= 1
        return joined.endswith((*_ENDINGS, ">", ")")) or joined[:1].isdigit() or self._ends_with_verb(at)

    def _ends_with_verb(self, at: int) -> bool:
        if at not in self._has_verb:
            tail = self._lines[at].plain[-_VERB_TAIL_CHARACTERS:].lower()
            self._has_verb[at] = _verb_pattern().search(tail) is not None
        return self._has_verb[at]


def _find(lines: Sequence[BodyLine], start: int, scales: _Scales) -> Attribution | None:
    if scales.left <= 0 or not _may_begin(lines, start):
        return None
    if _is_log_line(lines, start):
        return None
    joined = ""
    for stop in range(start + 1, min(start + 1 + _MAX_LINES, len(lines) + 1)):
        joined = _join(joined, lines[stop - 1])
        if len(joined) > _MAX_CHARACTERS or (lines[stop - 1].blank and not _goes_on_after_blank(joined, lines, stop)):
            return None
        if scales.may_end(joined, stop - 1):
            found = scales.weigh(joined, lines, stop)
            if found:
                is_text = _starts_further_down(lines, start, stop, scales)
                return None if is_text else _extended_by_name(found, joined, lines, stop, scales)
            if joined.endswith(_ENDINGS):
                return None
    return None


def split_joined_lines(lines: Sequence[BodyLine]) -> list[BodyLine]:
    """Return the lines of a body, with each line split on which a program has joined an attribution with other text.
    The costly look at what may be one is taken a bounded number of times."""
    scales = _Scales()
    return [piece for line in lines for piece in (_split_joined_line(line, scales) if scales.left > 0 else (line,))]


def _split_joined_line(line: BodyLine, scales: _Scales) -> Sequence[BodyLine]:
    """Split a line on which a program has joined the end of a reply and an attribution, or an attribution and the
    beginning of the quote. Return the two lines, or the line alone if nothing is joined."""
    if line.depth or "@" not in line.text[: _MAX_CHARACTERS * 2]:
        return (line,)
    colon = _QUOTE_BEGINS.search(line.text, 0, _MAX_CHARACTERS)
    if colon is not None:
        head, quote = line.split_at(colon.end())
        parts = _split_at_start(head, scales)
        if len(parts) > 1:
            return (*parts, quote)
        found = scales.weigh(head.plain, [head], 1) if _has_opener(head.plain) else None
        return (head, quote) if found is not None and found.needs_no_marks else (line,)
    return _split_at_start(line, scales)


def _split_at_start(line: BodyLine, scales: _Scales) -> Sequence[BodyLine]:
    """Split a line before the attribution that ends it."""
    if len(line.text) > _MAX_CHARACTERS * 2 or not line.plain.endswith(_COLONS):
        return (line,)
    for start in _possible_starts(line.text):
        head, rest = line.split_at(start)
        if _DATE.search(rest.plain) and scales.weigh(rest.plain, [rest], 1):
            return head, rest
    return (line,)


def _possible_starts(text: str) -> list[int]:
    """Return the positions in a line where an attribution may begin: after a sentence or, if the line does not begin
    with an opener or a date, before a word with a capital letter."""
    begins_like_one = _first_word(text) in _openers() or _DATE.match(text.lstrip()) is not None
    boundary = _SENTENCE_END if begins_like_one else _SENTENCE_END_OR_CAPITAL
    positions = (found.end() for found in boundary.finditer(text))
    return [at for at in positions if _first_word(text[at:]) in _openers()][-_MAX_STARTS_TRIED:]


def _may_begin(lines: Sequence[BodyLine], start: int) -> bool:
    """Return quickly whether an attribution may begin at this line. Most lines need no further look."""
    text = lines[start].plain
    if not text:
        return False
    first = text[:1]
    return (
        first.isdigit()
        or first in "\"'“„«<(-‐–—"
        or text.endswith((*_ENDINGS, "<"))
        or "@" in text
        or _first_word(text) in _openers()
        or (_UNSPACED_SCRIPT.match(first) is not None and any(map(str.isdigit, text[:_DIGIT_SEARCH_CHARACTERS])))
        or (start + 1 < len(lines) and lines[start + 1].plain.startswith("<"))
    )


def _is_log_line(lines: Sequence[BodyLine], at: int) -> bool:
    """Return whether a line belongs to a log: it begins with the same date as the one below or above it."""
    stamp = _LOG_STAMP.match(lines[at].plain[:_MAX_CHARACTERS])
    if stamp is None:
        return False
    beside = (*lines[at + 1 : at + 2], *lines[max(at - 1, 0) : at])
    return any(line.plain.startswith(stamp.group()) and not line.quoted for line in beside)


def _first_word(text: str) -> str:
    return text[:_FIRST_WORD_CHARACTERS].split(" ", 1)[0].strip(".,:;()-־").lower()


def _join(joined: str, line: BodyLine) -> str:
    """Return ``joined`` with the next line added. A ``>`` at the start of that line that closes an address which was
    broken over two lines is part of the address, not a quote mark."""
    text = line.plain[:_MAX_CHARACTERS]
    if line.depth and _is_inside_address(joined):
        text = ">" + text
    return f"{joined} {text}" if joined and text else joined or text


def _goes_on_after_blank(joined: str, lines: Sequence[BodyLine], stop: int) -> bool:
    """Return whether an attribution goes on after a blank line: some programs put blank lines around the address."""
    return _is_inside_address(joined) or (stop < len(lines) and lines[stop].text.strip() == "<")


def _is_inside_address(text: str) -> bool:
    """Return whether a text ends in ``<``, or in ``<`` and the start of an address. ``< 10 on Sunday`` is a
    comparison."""
    begun = text[text.rfind("<") + 1 :].strip() if text.rfind("<") > text.rfind(">") else None
    return begun is not None and (not begun or ("@" in begun and " " not in begun))


def _extended_by_name(
    found: Attribution, joined: str, lines: Sequence[BodyLine], stop: int, scales: _Scales
) -> Attribution:
    """Extend an attribution whose verb ends a line by the next line, if that is the name: ``schrieb``, ``Jane
    Doe:``."""
    if joined.endswith(_ENDINGS) or stop == len(lines):
        return found
    name = lines[stop]
    if name.quoted or len(name.plain) > _MAX_NAME_CHARACTERS or not name.plain.endswith(_COLONS):
        return found
    return scales.weigh(_join(joined, name), lines, stop + 1) or found


def _starts_further_down(lines: Sequence[BodyLine], start: int, stop: int, scales: _Scales) -> bool:
    """Return whether the attribution begins below ``start``, and the lines above it are text that looks like its
    beginning."""
    for later in range(stop - 1, start, -1):
        if _has_opener(lines[later].plain) and _DATE.search(lines[later].plain[:_MAX_CHARACTERS].lower()):
            above, below = _joined(lines[start:later]), _joined(lines[later:stop])
            if scales.weigh(below, lines, stop) and not _has_verb_and_address(above):
                return True
    return False


def _joined(lines: Sequence[BodyLine]) -> str:
    joined = ""
    for line in lines:
        joined = _join(joined, line)
    return joined


def _has_verb_and_address(text: str) -> bool:
    """Return whether a line lacks only the date, which comes on the next one, as in ``Wiadomość napisana przez A
    <a@b.example> w dniu``."""
    clues = _AttributionClues(text.lower())
    return clues.has_opener and clues.has_verb and clues.has_marked_address


def _has_opener(text: str) -> bool:
    return text[:1].isdigit() or _first_word(text) in _openers()


def _weigh(joined: str, lines: Sequence[BodyLine], stop: int) -> Attribution | None:
    """Return the attribution that the joined lines above ``stop`` are, if their clues suffice."""
    clues = _AttributionClues(joined.strip("-–— ").lower() if joined.startswith("-") else joined.lower())
    quoted = _quoted_below(lines, stop)
    if clues.is_sentence and not (clues.has_address and quoted):
        return None
    if clues.proves():
        return Attribution(stop, clues.languages, needs_no_marks=True)
    if quoted and clues.suffices():
        return Attribution(stop, clues.languages, needs_no_marks=False)
    return None


class _AttributionClues:
    """What in a text, given in lower case, speaks for an attribution."""

    def __init__(self, text: str) -> None:
        verb = _verb_pattern().search(text)
        self._text = text
        self.languages = _languages_by_verb()[verb.group()] if verb else ()
        self.has_verb = verb is not None
        self.has_address = "@" in text and _ADDRESS.search(text) is not None
        self.has_marked_address = self.has_address and _MARKED_ADDRESS.search(text) is not None
        """The address is in brackets, or ends the text before a colon."""
        self.has_date = _DATE.search(text) is not None
        self.has_time = _TIME.search(text) is not None
        self.has_opener = _has_opener(text)
        self.has_colon = text.endswith(_ENDINGS)
        self.ends_like_one = self.has_colon or (verb is not None and verb.end() >= len(text.rstrip(" .>)")))

    @property
    def is_sentence(self) -> bool:
        """True if a person says so and no mail program, as in ``I wrote`` or ``he wrote``."""
        words = frozenset(self._text.split())
        return any(not words.isdisjoint(_pronouns()[language]) for language in self.languages)

    def proves(self) -> bool:
        """Return whether the clues prove that what follows is quoted, even if nothing marks the quote."""
        if self.has_date and self.has_time and self._text[:1].isdigit() and _ZONE.search(self._text):
            return True
        if not self.ends_like_one:
            return False
        return (
            (self.has_verb and self.has_marked_address)
            or (self.has_verb and self.has_date and (self.has_time or self.has_address))
            or (self.has_date and self.has_time and self.has_marked_address)
        )

    def suffices(self) -> bool:
        """Return whether the clues make an attribution if quoted lines follow."""
        if not self.ends_like_one:
            return self.has_date and self.has_address and self._text[:1].isdigit() and self._text.endswith(">")
        if not (self.has_verb or self.has_address):
            return self.has_colon and self.has_date and self.has_time and self.has_opener
        return self.has_date or self.has_time or self.has_address or self._is_short() or self._has_weekday()

    def _has_weekday(self) -> bool:
        """Return whether this is ``On Monday, Jane Doe wrote:`` and nothing else."""
        is_short = len(self._text) <= _SHORT_CHARACTERS and len(self._text.split()) <= _SHORT_WORDS + 2
        day = _weekdays().search(self._text)
        if day is None or not (is_short and self.has_verb and self.has_colon):
            return False
        return not self._is_about_something(self._text[day.end() :].split())

    def _is_about_something(self, words: Sequence[str]) -> bool:
        """Return whether an article or the like is among some words, as in ``the manual``, which no name has."""
        return any(word.strip(",:") in _sentence_openers()[language] for language in self.languages for word in words)

    def _is_short(self) -> bool:
        """Return whether this is ``Jane Doe wrote:`` and nothing else, and does not begin like a sentence."""
        is_short = len(self._text) <= _SHORT_CHARACTERS and len(self._text.split()) <= _SHORT_WORDS
        if not (is_short and self.has_verb and "," not in self._text):
            return False
        return not self._is_about_something([_first_word(self._text), *self._text.split()[1:]])


def _quoted_below(lines: Sequence[BodyLine], stop: int) -> bool:
    for line in lines[stop : stop + _QUOTE_SEARCH_LINES]:
        if not line.blank or line.quoted:
            return line.quoted or line.text.startswith(("| ", "|\n"))
    return False


def is_groupwise_header(line: BodyLine) -> bool:
    """Return whether a line is ``>>> Jane Doe <jane@doe.example> 05.01.2026 10:14 >>>``, which GroupWise writes above a
    quote without marks."""
    text = line.plain
    return line.depth == 3 and text.endswith(">>>") and bool(_ADDRESS.search(text) or _DATE.search(text))
