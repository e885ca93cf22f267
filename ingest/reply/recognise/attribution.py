"""``On <date>, <name> wrote:``, in any language, wrapped over lines or not.

Evidence is weighed instead of matching one pattern per client: an address, a date, a time, a verb, an opening word,
a colon at the end, and quoted lines below. So an unlisted language is read by what needs no words. All patterns run
on at most ``_LENGTH`` characters of joined lines, and none can backtrack over more than that.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from ingest.languages import all_languages, all_words, languages_by_word
from ingest.reply.lines import BodyLine

_LINES = 6
_LENGTH = 400
_VERB_LENGTH = 40
_NAME_LENGTH = 60

_ASIAN = re.compile(r"[\u0e00-\u0e7f\u1100-\u11ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]")


_EMAIL = re.compile(r"[\w.+=-]{1,64}@[\w-]{1,63}\.[\w.-]{1,190}|[\w.+=-]{1,64}@(?=\W|$)")
_ADDRESSED = re.compile(r"[<(\[][\w.+=-]{1,64}@|@[\w.-]{3,255}[>)\]]? ?:$")
_YEAR = r"(?:19|20|25)\d{2}"
_DATE = re.compile(
    rf"(?<!\d)(?:\d{{1,4}} ?[./-] ?\d{{1,2}} ?[./-] ?\d{{1,4}}|{_YEAR} ?[年년]|{_YEAR}(?!\d)|\d{{1,2}}月 ?\d{{1,2}}日)"
    r"|[١٢]\d{3}|[۱۲]\d{3}"
)
_TIME = re.compile(r"(?<![\d:.])\d{1,2} ?[:：.h] ?\d{2}(?![\d.])|[时時시] ?\d{1,2} ?[分분]|\d{1,2} ?(?:am|pm)\b")
_STAMP = re.compile(r"[\[(]?\d{2,4}[./-]\d{1,2}[./-]\d{1,4}")
_QUOTE_BEGINS = re.compile(r"[:：][ \t\xa0]{2,}(?=\S)")
_SENTENCE_END = re.compile(r"[.!?…)][ \t]+|[。！？][ \t]*")
_JOINT = re.compile(rf"{_SENTENCE_END.pattern}|[ \t]+(?=[A-ZÀ-ÖØ-Þ])")
_OPENINGS = 8
_ZONE = re.compile(r"(?:gmt|utc) ?[+-]\d")
_COLONS = (":", "：", "﹕", "፦", "៖")
_ENDS = (*_COLONS, "--")


@cache
def _languages_by_verb() -> dict[str, tuple[str, ...]]:
    return languages_by_word(lambda language: language.attribution_verbs)


@cache
def _verb_pattern() -> re.Pattern[str]:
    spaced = [verb for verb in _languages_by_verb() if not _ASIAN.search(verb)]
    unspaced = [verb for verb in _languages_by_verb() if _ASIAN.search(verb)]
    return re.compile(rf"(?<!\w)(?:{_longest_first(spaced)})(?!\w)|(?:{_longest_first(unspaced)})")


def _longest_first(words: Sequence[str]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


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
    """An attribution that was found: the line after its last one, what it was, and how sure that is."""

    stop: int
    languages: tuple[str, ...]
    unmarked: bool
    """What follows may be quoted without any mark: the attribution alone is proof."""

    @property
    def reason(self) -> str:
        """Such as ``attribution (German)``."""
        return f"attribution ({'/'.join(self.languages[:3])})" if self.languages else "attribution"


def find(lines: Sequence[BodyLine], start: int) -> Attribution | None:
    """The attribution that begins at this line, if one does."""
    if not _may_begin(lines, start):
        return None
    if _is_log(lines, start):
        return None
    joined = ""
    for stop in range(start + 1, min(start + 1 + _LINES, len(lines) + 1)):
        joined = _join(joined, lines[stop - 1])
        if len(joined) > _LENGTH or (lines[stop - 1].blank and not _continues(joined, lines, stop)):
            return None
        if _may_end(joined, lines[stop - 1]):
            found = _weigh(joined, lines, stop)
            if found:
                return None if _better_start(lines, start, stop) else _with_name(found, joined, lines, stop)
            if joined.endswith(_ENDS):
                return None
    return None


def part(line: BodyLine) -> Sequence[BodyLine]:
    """A line in two, where a program has joined the end of a reply and an attribution, or an attribution and the
    beginning of the quote."""
    if line.depth or "@" not in line.text[: _LENGTH * 2]:
        return (line,)
    colon = _QUOTE_BEGINS.search(line.text, 0, _LENGTH)
    if colon is not None:
        head, quote = line.split_at(colon.end())
        found = _weigh(head.plain, [head], 1) if _opens(head.plain) else None
        return (head, quote) if found is not None and found.unmarked else (line,)
    if len(line.text) > _LENGTH * 2 or not line.plain.endswith(_COLONS):
        return (line,)
    for start in _openings(line.text):
        head, rest = line.split_at(start)
        if _DATE.search(rest.plain) and _weigh(rest.plain, [rest], 1):
            return head, rest
    return (line,)


def _openings(text: str) -> list[int]:
    """Where in a line an attribution may begin: behind a sentence, or where none leads the line, at a capital."""
    led = _first_word(text) in _openers() or _DATE.match(text.lstrip()) is not None
    joints = (joint.end() for joint in (_SENTENCE_END if led else _JOINT).finditer(text))
    return [at for at in joints if _first_word(text[at:]) in _openers()][-_OPENINGS:]


def _may_begin(lines: Sequence[BodyLine], start: int) -> bool:
    """A cheap look that spares most lines the joining and weighing."""
    text = lines[start].plain
    if not text:
        return False
    first = text[:1]
    return (
        first.isdigit()
        or first in "\"'“„«<(-‐–—"
        or text.endswith((*_ENDS, "<"))
        or "@" in text
        or _first_word(text) in _openers()
        or (_ASIAN.match(first) is not None and any(map(str.isdigit, text[:60])))
        or (start + 1 < len(lines) and lines[start + 1].plain.startswith("<"))
    )


def _may_end(joined: str, last: BodyLine) -> bool:
    """A cheap look at the end: a colon, dashes, an address, the verb, or a line that a date leads."""
    return (
        joined.endswith((*_ENDS, ">", ")"))
        or joined[:1].isdigit()
        or _verb_pattern().search(last.plain[-_VERB_LENGTH:].lower()) is not None
    )


def _is_log(lines: Sequence[BodyLine], at: int) -> bool:
    """Whether a line and the one below it, or above it, begin with the same date."""
    stamp = _STAMP.match(lines[at].plain[:_LENGTH])
    if stamp is None:
        return False
    beside = (*lines[at + 1 : at + 2], *lines[max(at - 1, 0) : at])
    return any(line.plain.startswith(stamp.group()) and not line.quoted for line in beside)


def _first_word(text: str) -> str:
    return text[:40].split(" ", 1)[0].strip(".,:;()-־").lower()


def _join(joined: str, line: BodyLine) -> str:
    """The next line added; a quote mark that closes an address broken over lines belongs to it."""
    text = line.plain[:_LENGTH]
    if line.depth and _is_inside_address(joined):
        text = ">" + text
    return f"{joined} {text}" if joined and text else joined or text


def _continues(joined: str, lines: Sequence[BodyLine], stop: int) -> bool:
    """Some clients put blank lines around an address, in the middle of the attribution."""
    return _is_inside_address(joined) or (stop < len(lines) and lines[stop].text.strip() == "<")


def _is_inside_address(text: str) -> bool:
    """Whether it ends in ``<``, or ``<`` and an address; ``< 10 on Sunday`` is a comparison."""
    begun = text[text.rfind("<") + 1 :].strip() if text.rfind("<") > text.rfind(">") else None
    return begun is not None and (not begun or ("@" in begun and " " not in begun))


def _with_name(found: Attribution, joined: str, lines: Sequence[BodyLine], stop: int) -> Attribution:
    """Where the verb ends a line, the next one may be the name: ``schrieb``, ``Jane Doe:``."""
    if joined.endswith(_ENDS) or stop == len(lines):
        return found
    name = lines[stop]
    if name.quoted or len(name.plain) > _NAME_LENGTH or not name.plain.endswith(_COLONS):
        return found
    return _weigh(_join(joined, name), lines, stop + 1) or found


def _better_start(lines: Sequence[BodyLine], start: int, stop: int) -> bool:
    """Whether the attribution begins further down: the line above it is text that happens to look like an opening."""
    for later in range(stop - 1, start, -1):
        if _opens(lines[later].plain) and _DATE.search(lines[later].plain[:_LENGTH].lower()):
            above, below = _joined(lines[start:later]), _joined(lines[later:stop])
            if _weigh(below, lines, stop) and not _names_writer(above):
                return True
    return False


def _joined(lines: Sequence[BodyLine]) -> str:
    joined = ""
    for line in lines:
        joined = _join(joined, line)
    return joined


def _names_writer(text: str) -> bool:
    """``Wiadomość napisana przez A <a@b.example> w dniu``: the date comes on the next line."""
    found = _Evidence(text.lower())
    return found.opens and found.verb and found.addressed


def _opens(text: str) -> bool:
    return text[:1].isdigit() or _first_word(text) in _openers()


def _weigh(joined: str, lines: Sequence[BodyLine], stop: int) -> Attribution | None:
    found = _Evidence(joined.strip("-–— ").lower() if joined.startswith("-") else joined.lower())
    quoted = _quoted_below(lines, stop)
    if found.is_sentence and not (found.email and quoted):
        return None
    if found.proves():
        return Attribution(stop, found.languages, unmarked=True)
    if quoted and found.suffices():
        return Attribution(stop, found.languages, unmarked=False)
    return None


class _Evidence:
    """What in a line, in lower case, speaks for an attribution."""

    def __init__(self, text: str) -> None:
        verb = _verb_pattern().search(text)
        self._text = text
        self.languages = _languages_by_verb()[verb.group()] if verb else ()
        self.verb = verb is not None
        self.email = _EMAIL.search(text) is not None
        self.addressed = self.email and _ADDRESSED.search(text) is not None
        self.dated = _DATE.search(text) is not None
        self.timed = _TIME.search(text) is not None
        self.opens = _opens(text)
        self.colon = text.endswith(_ENDS)
        self.ends = self.colon or (verb is not None and verb.end() >= len(text.rstrip(" .>)")))

    @property
    def is_sentence(self) -> bool:
        """``I wrote``, ``he wrote``: a person says so, no mail program."""
        words = frozenset(self._text.split())
        return any(not words.isdisjoint(_pronouns()[language]) for language in self.languages)

    def proves(self) -> bool:
        """Whether what follows is quoted even if nothing marks it."""
        if self.dated and self.timed and self._text[:1].isdigit() and _ZONE.search(self._text):
            return True
        if not self.ends:
            return False
        return (
            (self.verb and self.addressed)
            or (self.verb and self.dated and (self.timed or self.email))
            or (self.dated and self.timed and self.addressed)
        )

    def suffices(self) -> bool:
        """Whether it is an attribution where quoted lines follow."""
        if not self.ends:
            return self.dated and self.email and self._text[:1].isdigit() and self._text.endswith(">")
        if not (self.verb or self.email):
            return self.colon and self.dated and self.timed and self.opens
        return self.dated or self.timed or self.email or self._is_short()

    def _is_short(self) -> bool:
        """``Jane Doe wrote:`` and nothing else, where the name does not begin like a sentence."""
        brief = len(self._text) <= 60 and len(self._text.split()) <= 6 and "," not in self._text
        return (
            brief
            and self.verb
            and not any(_first_word(self._text) in _sentence_openers()[language] for language in self.languages)
        )


def _quoted_below(lines: Sequence[BodyLine], stop: int) -> bool:
    for line in lines[stop : stop + 4]:
        if not line.blank or line.quoted:
            return line.quoted or line.text.startswith(("| ", "|\n"))
    return False


def is_enclosed(line: BodyLine) -> bool:
    """``>>> Jane Doe <jane@doe.example> 05.01.2026 10:14 >>>``, as GroupWise writes it, above a quote without marks."""
    text = line.plain
    return line.depth == 3 and text.endswith(">>>") and bool(_EMAIL.search(text) or _DATE.search(text))
