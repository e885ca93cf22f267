"""What stands at the end of a text and nobody wrote for this mail: signatures behind ``-- ``, device lines,
legal, list and virus scanner footers. A sign-off with name and title stays."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache

from ingest.languages import all_languages, all_words, any_of
from ingest.model.message import SegmentKind
from ingest.model.reasons import CutReason, Recognised
from ingest.reply.lines import BodyLine, ClassifiedBlock
from ingest.reply.recognise.quoted_headers import is_rule

_SIGNATURE_LINES = 25
_EXACT_SIGNATURE_LINES = 60
_RULED_SIGNATURE_LINES = 8
_PARAGRAPHS = 12
_PARAGRAPH_LINES = 60
_PARAGRAPH_LENGTH = 4_000
_DELIMITERS = frozenset({"--", "—", "–", "‐‐", "−−"})

_PRODUCTS = (
    *("iphone", "ipad", "ipod", "android", "blackberry", "galaxy", "samsung", "huawei", "xiaomi", "redmi", "oppo"),
    *("vivo", "honor", "htc", "nokia", "lumia", "windows", "outlook", "mailbox", "mail.ru", "airmail", "spark"),
    *("proton", "protonmail", "yahoo", "gmail", "surface", "pixel", "sony", "xperia", "lg", "moto", "motorola"),
    *("oneplus", "fairphone", "superhuman", "hey", "thunderbird", "k-9", "bluemail", "mailspring", "newton", "edison"),
    *("typeapp", "mymail", "yandex", "яндекс", "aqua", "nine", "boxer", "spike", "canary", "zoho", "tuta", "tutanota"),
    *("fastmail", "posteo", "gmx", "web.de", "aol", "orange", "libero", "mailbird", "em client", "shortwave"),
    *("mailbutler", "mac", "macbook", "imac", "ios", "qq", "foxmail"),
)
"""Beginnings of the names of devices and mail programs, which are the same in every language."""
_PRODUCTS_ANYWHERE = ("iphone", "ipad", "android")
"""Names that are believed inside a word, too: Hebrew and Arabic join prepositions to them."""
_SYSTEM = r"(?<![a-z])(?:ios|android)"
_OUTLOOK = re.compile(rf"outlook\b.{{0,40}}{_SYSTEM}|{_SYSTEM}.{{0,40}}outlook")
_LINK = re.compile(r"[\w-]@[\w-]|https?://|www\.")
_ADDRESS_ALONE = re.compile(r"[(<\[]?(?:https?://|www\.)\S{3,200}")
_TRACES = frozenset({"ᐧ"})
"""Lone signs that mail trackers leave behind."""
_DEVICE_WORDS = 16
_OWN_DEVICE_WORDS = 8
_SHORT_WORDS = 6
_SHORT_LENGTH = 45
_COMPANY_LENGTH = 500
_SENTENCE_WORDS = 6
_SENTENCE_ENDS = ("!", "?", "。", "！", "？")
_WRAPPED = 60
"""Characters from which on a line may have been wrapped."""


def _pattern(phrase: str) -> Callable[[str], bool]:
    head, wild, tail = phrase.partition("…")
    head = head.rstrip() if not tail else head
    if not wild:
        return lambda text: text.startswith(head)
    return lambda text: text.startswith(head) and text.endswith(tail.strip()) and len(text) > len(head)


@cache
def _device_words() -> re.Pattern[str]:
    """A product, or a device word of any language; see the head of ``languages.toml`` for where in a word."""
    words = list(all_words(lambda language: language.device_words))
    anywhere = [word for word in words if word.upper() == word]
    beginnings = any_of((*_PRODUCTS, *(word for word in words if word.upper() != word)))
    return re.compile(rf"(?<!\w){beginnings}|{any_of((*_PRODUCTS_ANYWHERE, *anywhere))}")


@cache
def _device_lines() -> tuple[Callable[[str], bool], ...]:
    return tuple(_pattern(phrase) for phrase in all_words(lambda language: language.device_lines))


@cache
def _certain_device_lines() -> tuple[Callable[[str], bool], ...]:
    return tuple(_pattern(phrase) for phrase in all_words(lambda language: language.device_lines_certain))


@cache
def _short_device_lines() -> tuple[Callable[[str], bool], ...]:
    return tuple(_pattern(phrase) for phrase in all_words(lambda language: language.device_lines_short))


@cache
def _legal_openers() -> tuple[str, ...]:
    return tuple(all_words(lambda language: language.legal_openers))


@cache
def _legal_stems() -> tuple[str, ...]:
    return tuple(dict.fromkeys(all_words(lambda language: language.legal_stems)))


@cache
def _company_data() -> tuple[str, ...]:
    return tuple(all_words(lambda language: language.company_data))


@cache
def _footer_openers() -> tuple[str, ...]:
    return tuple(all_words(lambda language: language.footer_openers))


@cache
def _all_openers() -> tuple[str, ...]:
    return (*_footer_openers(), *_legal_openers())


@cache
def _list_footers() -> tuple[str, ...]:
    return tuple(all_words(lambda language: language.list_footers))


@cache
def _postscripts() -> tuple[str, ...]:
    return tuple(all_words(lambda language: language.postscripts))


@dataclass(slots=True)
class TextBlock:
    """Text between quotes, from which endings are taken one by one, from the end."""

    lines: Sequence[BodyLine]
    start: int
    stop: int
    protected: frozenset[int]
    """Lines of fenced code: nothing in there is an ending."""
    before_quote: bool = False
    after_quote: bool = False
    """The last quote is above, so this may be nothing but a signature."""
    endings: list[ClassifiedBlock] = field(default_factory=list)

    def take(self, kind: SegmentKind, start: int, reason: CutReason | None) -> None:
        """All from this line on is an ending."""
        self.endings.append(ClassifiedBlock(kind, start, self.stop, Recognised(reason) if reason else None))
        self.stop = start

    def blocks(self) -> list[ClassifiedBlock]:
        """What was written, and the endings behind it."""
        written = [ClassifiedBlock(SegmentKind.NEW, self.start, self.stop)] if self.stop > self.start else []
        return [*written, *reversed(self.endings)]


def trim(stretch: TextBlock) -> list[ClassifiedBlock]:
    """A stretch of text, parted into what was written and the endings behind it."""
    _take_paragraphs(stretch)
    _take_signature(stretch)
    _take_paragraphs(stretch)
    return stretch.blocks()


def _take_paragraphs(stretch: TextBlock) -> None:
    for _ in range(_PARAGRAPHS):
        stop = stretch.stop
        _take_paragraph(stretch)
        if stretch.stop == stop:
            return


def _take_signature(stretch: TextBlock) -> None:
    delimiter = _delimiter(stretch)
    if delimiter is not None:
        reason = CutReason.SIGNATURE if _is_exact(stretch.lines[delimiter]) else CutReason.LOOSE_SIGNATURE
        _spare_postscript(stretch, delimiter)
        stretch.take(SegmentKind.SIGNATURE, delimiter, reason)
    elif stretch.after_quote and _is_ruled_signature(stretch):
        stretch.take(SegmentKind.SIGNATURE, stretch.start, CutReason.LOOSE_SIGNATURE)
    elif stretch.before_quote:
        last = next(
            (at for at in range(stretch.stop - 1, stretch.start - 1, -1) if _is_filled(stretch.lines[at])), None
        )
        if last is not None and is_rule(stretch.lines[last].text):
            stretch.take(SegmentKind.MARKER, last, CutReason.RULE)


def _spare_postscript(stretch: TextBlock, signature: int) -> None:
    """``PS: …`` below a signature is new."""
    for at in range(signature + 1, stretch.stop):
        if stretch.lines[at].plain.lower().startswith(_postscripts()):
            stretch.take(SegmentKind.NEW, at, None)
            return


def _is_filled(line: BodyLine) -> bool:
    return bool(line.text.strip()) and (not line.blank or is_rule(line.text))


def _is_ruled_signature(stretch: TextBlock) -> bool:
    """A line of underscores below the last quote, and a few short lines under it."""
    filled = [line.text.strip() for line in stretch.lines[stretch.start : stretch.stop] if _is_filled(line)]
    ruled = bool(filled) and len(filled[0]) >= 5 and set(filled[0]) <= {"_", "-"}
    return ruled and len(filled) <= _RULED_SIGNATURE_LINES and all(len(text) <= 80 for text in filled)


def _delimiter(stretch: TextBlock) -> int | None:
    """The line of two dashes with no more below it than a signature has. Without the space behind them, several are
    rules between parts of a text, and so is one with sentences below it."""
    exact = loose = None
    filled = dashes = 0
    spoken = False
    for at in range(stretch.stop - 1, stretch.start - 1, -1):
        line = stretch.lines[at]
        if line.plain in _DELIMITERS and at not in stretch.protected:
            if _is_exact(line):
                exact = at if filled <= _EXACT_SIGNATURE_LINES else exact
            else:
                loose = at if filled <= _SIGNATURE_LINES and not spoken else loose
                dashes += 1
        filled += not line.blank
        spoken = spoken or _is_sentence(line.plain)
    return exact if exact is not None else loose if dashes == 1 else None


def _is_sentence(text: str) -> bool:
    """``Please call me back.``, which a name, a title, or ``Customer Ltd.`` is not."""
    words = text.split()
    if not text.endswith(".") or len(words) < 2:
        return text.endswith(_SENTENCE_ENDS)
    return len(words) >= _SENTENCE_WORDS or (words[-1].islower() and words[-1][:-1].isalpha() and len(words[-1]) > 4)


def _is_exact(line: BodyLine) -> bool:
    """RFC 3676 section 4.3: dash, dash, space."""
    return line.text.rstrip("\r\n") == "-- "


def _take_paragraph(stretch: TextBlock) -> None:
    """Take the footer or the device lines that the last paragraph is, or ends in."""
    first, last = _last_paragraph(stretch)
    if first == last or not stretch.protected.isdisjoint(range(first, last)):
        return
    devices = _devices(stretch.lines, first, last)
    if devices < last:
        if not _is_introduced(stretch, devices):
            stretch.take(SegmentKind.DEVICE_LINE, devices, CutReason.DEVICE_LINE)
        return
    rule = next((at for at in range(first, last) if is_rule(stretch.lines[at].text)), None)
    start = _footer_at(stretch.lines, first if rule is None else rule, last, ruled=rule is not None)
    if start is not None and _is_introduced(stretch, start):
        return
    if start is not None:
        stretch.take(SegmentKind.FOOTER, start, CutReason.FOOTER)
    elif _heads_footer(stretch, _joined(stretch.lines[first:last])):
        stretch.take(SegmentKind.FOOTER, first, CutReason.FOOTER)


def _footer_at(lines: Sequence[BodyLine], first: int, last: int, *, ruled: bool) -> int | None:
    """Where in a paragraph a footer begins: some programs leave no blank line between a sign-off and what the company
    has put below it."""
    paragraph = _joined(lines[first:last])
    if _opens_footer(paragraph) or (ruled and _is_list_footer(lines[first:last], paragraph)):
        return first
    if _is_company(paragraph):
        return _company_at(lines, first, last)
    for at in range(first + 1, last):
        if (
            lines[at].plain.lower().startswith(_all_openers())
            and _ends_itself(lines[at - 1].plain)
            and _opens_footer(_joined(lines[at:last]))
        ):
            return _company_at(lines, first, at)
    return None


def _is_list_footer(lines: Sequence[BodyLine], paragraph: str) -> bool:
    """Who asks to be taken off a list gives no address to do so."""
    return any(phrase in paragraph for phrase in _list_footers()) and any(_LINK.search(line.text) for line in lines)


def _is_introduced(stretch: TextBlock, at: int) -> bool:
    """``Your mails end with:`` and the ending that the writer means; ``DISCLAIMER:`` belongs to its footer."""
    above = next((line.plain for line in reversed(stretch.lines[stretch.start : at]) if not line.blank), "")
    return above.endswith((":", "：")) and not above.lower().startswith(_legal_openers())


def _ends_itself(text: str) -> bool:
    """Whether the line below begins something new: this one was not wrapped."""
    return len(text) < _WRAPPED or text.endswith((".", "!", "?", "。"))


def _company_at(lines: Sequence[BodyLine], first: int, last: int) -> int:
    """The line in which the data of a company begin, if they do; the name and the title above them are somebody's."""
    if not _is_company(_joined(lines[first:last])):
        return last
    telling = (at for at in range(first, last) if any(phrase in lines[at].plain.lower() for phrase in _company_data()))
    return next(telling, first)


def _joined(lines: Sequence[BodyLine]) -> str:
    return " ".join(line.plain for line in lines)[:_PARAGRAPH_LENGTH].lower()


def _last_paragraph(stretch: TextBlock) -> tuple[int, int]:
    last = stretch.stop
    while last > stretch.start and stretch.lines[last - 1].blank:
        last -= 1
    first = last
    while first > stretch.start and not stretch.lines[first - 1].blank and last - first < _PARAGRAPH_LINES:
        first -= 1
    return first, last


def _heads_footer(stretch: TextBlock, paragraph: str) -> bool:
    """``CONFIDENTIALITY NOTICE`` on a line of its own, above the notice."""
    above = bool(stretch.endings) and stretch.endings[-1].kind is SegmentKind.FOOTER
    return above and len(paragraph.split()) <= 4 and paragraph.startswith(_legal_openers())


def _devices(lines: Sequence[BodyLine], first: int, stop: int) -> int:
    """Where the device lines at the end of a paragraph begin."""
    at = stop
    if stop - first > 1 and _ADDRESS_ALONE.fullmatch(lines[stop - 1].plain) and is_device_line(lines[stop - 2].plain):
        at -= 1  # of the program's maker
    while at > first and is_device_line(lines[at - 1].plain):
        at -= 1
    return at


def is_device_line(text: str) -> bool:
    """Whether a phone or a mail program added this line."""
    if text in _TRACES:
        return True
    lowered = text.lower().strip("()<>[]«»~-–—_ .!,")
    count = len(lowered.split())
    if not lowered or count > _DEVICE_WORDS or len(lowered) > 160 or lowered.endswith(("?", "？")):
        return False
    if count <= _OWN_DEVICE_WORDS and (
        _OUTLOOK.search(lowered) or any(matches(lowered) for matches in _certain_device_lines())
    ):
        return True
    short = count <= _SHORT_WORDS and len(lowered) <= _SHORT_LENGTH
    patterns = (*_device_lines(), *_short_device_lines()) if short else _device_lines()
    return _device_words().search(lowered) is not None and any(matches(lowered) for matches in patterns)


def _is_company(paragraph: str) -> bool:
    return len(paragraph) <= _COMPANY_LENGTH and sum(phrase in paragraph for phrase in _company_data()) >= 3


def _opens_footer(paragraph: str) -> bool:
    text = paragraph.lstrip("_-=* ")
    if not text.startswith(_all_openers()):
        return False
    return text.startswith(_footer_openers()) or (
        sum(stem in text for stem in _legal_stems()) >= 2 and _is_notice(text)
    )


def _is_notice(text: str) -> bool:
    """Whether it opens as a legal notice, and nobody in it says ``I`` or ``my``."""
    languages = [language for language in all_languages() if text.startswith(language.legal_openers)]
    said = frozenset(word.strip(".,;:!?()\"'") for word in text.split())
    return bool(languages) and all(said.isdisjoint(language.first_person) for language in languages)
