"""What stands at the end of a text and nobody wrote for this mail: signatures behind ``-- ``, device lines,
legal, list and virus scanner footers. A sign-off with name and title stays."""

import re
from collections.abc import Callable, Sequence

from ingest.reply.blocks import Block
from ingest.reply.headers import is_rule
from ingest.reply.languages import every
from ingest.reply.lines import Line

_SIGNATURE_LINES = 25
_EXACT_SIGNATURE_LINES = 60
_PARAGRAPHS = 12
_PARAGRAPH_LENGTH = 4_000
_DELIMITERS = frozenset({"--", "—", "–", "‐‐", "−−"})

_DEVICES = re.compile(
    r"(?<!\w)(?:iphone|ipad|ipod|android|mobile?|mobilger|mobilen|mobiele|smartphone|handy|blackberry|galaxy|samsung"
    r"|phone|huawei|xiaomi|redmi|oppo|vivo|honor|htc|nokia|lumia|windows|outlook|e-?mail|mail|mailbox|airmail|spark"
    r"|proton|protonmail|yahoo|gmail|tablet|tablette|handheld|cell|device|surface|pixel|sony|xperia|lg|moto|motorola"
    r"|oneplus|fairphone|superhuman|hey|thunderbird|k-9|bluemail|mailspring|newton|edison|typeapp|mymail|yandex|яндекс"
    r"|aqua|nine|boxer|spike|canary|zoho|tuta|tutanota|fastmail|posteo|gmx|web\.de|aol|orange|libero|mailbird|em client"
    r"|mac|macbook|imac|ios|watch|portable|móvil|celular|cellulare|telemóvel|telefo\w+|teléfono|téléphone|τηλέφων\w+"
    r"|телефон\w*|смартфон\w*|моб[иі]льн\w*|komórk\w*|mobil\w+|puhelime\w*|sími\w*|qq|foxmail)"
    r"|iphone|ipad|android|手机|手機|携帯|スマートフォン|스마트폰|휴대폰|휴대전화|邮箱|郵箱|هاتف|جوال|טלפון|נייד"
)
_OUTLOOK = re.compile(r"outlook\b.{0,40}\b(?:ios|android)|\b(?:ios|android)\b.{0,40}outlook")
_DEVICE_WORDS = 16
_OWN_DEVICE_WORDS = 8


def _pattern(phrase: str) -> Callable[[str], bool]:
    head, wild, tail = phrase.partition("…")
    head = head.rstrip() if not tail else head
    if not wild:
        return lambda text: text.startswith(head)
    return lambda text: text.startswith(head) and text.endswith(tail.strip()) and len(text) > len(head)


_BY_DEVICE = tuple(_pattern(phrase) for phrase in every(lambda language: language.device))
_BY_PHRASE = tuple(_pattern(phrase) for phrase in every(lambda language: language.device_any))
_LEGAL_OPENS = tuple(every(lambda language: language.legal_opens))
_LEGAL = tuple(dict.fromkeys(every(lambda language: language.legal)))
_FOOTERS = tuple(every(lambda language: language.footer))


def trim(lines: Sequence[Line], start: int, stop: int, protected: frozenset[int]) -> list[Block]:
    """A stretch of text, parted into what was written and the endings behind it."""
    behind: list[Block] = []
    delimiter = _delimiter(lines, start, stop, protected)
    if delimiter is not None:
        behind.append(Block("signature", delimiter, stop, "signature", _delimiter_confidence(lines[delimiter])))
        stop = delimiter
    for _ in range(_PARAGRAPHS):
        ending = _ending(lines, start, stop, protected, followed=bool(behind))
        if ending is None:
            break
        behind.append(ending)
        stop = ending.start
    return [Block("new", start, stop), *reversed(behind)] if stop > start else behind[::-1]


def _delimiter(lines: Sequence[Line], start: int, stop: int, protected: frozenset[int]) -> int | None:
    """The line of two dashes with no more below it than a signature has."""
    filled = 0
    found = None
    for at in range(stop - 1, start - 1, -1):
        text = lines[at].text.strip()
        if text in _DELIMITERS and at not in protected:
            if filled > (_EXACT_SIGNATURE_LINES if _is_exact(lines[at]) else _SIGNATURE_LINES):
                break
            found = at
            if not _is_exact(lines[at]):
                break
        filled += bool(text)
        if filled > _EXACT_SIGNATURE_LINES:
            break
    return found


def _is_exact(line: Line) -> bool:
    """RFC 3676 section 4.3: dash, dash, space."""
    return line.text.rstrip("\r\n") == "-- "


def _delimiter_confidence(line: Line) -> float:
    return 0.97 if _is_exact(line) else 0.9


def _ending(lines: Sequence[Line], start: int, stop: int, protected: frozenset[int], *, followed: bool) -> Block | None:
    """The footer or the device lines that the last paragraph of this stretch is, or ends in."""
    end = stop
    while stop > start and lines[stop - 1].blank:
        stop -= 1
    first = stop
    while first > start and not lines[first - 1].blank and stop - first < 60:
        first -= 1
    if first == stop or not protected.isdisjoint(range(first, stop)):
        return None
    devices = _devices(lines, first, stop)
    if devices < stop:
        return Block("device-line", devices, end, "device line", 0.95)
    for at in range(stop - 1, first - 1, -1):
        if is_rule(lines[at].text):
            first = at
            break
    paragraph = " ".join(line.plain for line in lines[first:stop])[:_PARAGRAPH_LENGTH].lower()
    if is_footer(paragraph):
        return Block("footer", first, end, "footer", 0.85)
    if followed and len(paragraph) <= 60 and paragraph.startswith(_LEGAL_OPENS):
        return Block("footer", first, end, "footer", 0.8)
    return None


def _devices(lines: Sequence[Line], first: int, stop: int) -> int:
    """Where the device lines at the end of a paragraph begin."""
    at = stop
    while at > first and is_device_line(lines[at - 1].plain):
        at -= 1
    return at


def is_device_line(text: str) -> bool:
    """Whether a phone or a mail program added this line."""
    lowered = text.lower().strip("()<>[]«»~-–—_ .!,")
    count = len(lowered.split())
    if not lowered or count > _DEVICE_WORDS or len(lowered) > 160:
        return False
    if count <= _OWN_DEVICE_WORDS and (_OUTLOOK.search(lowered) or any(matches(lowered) for matches in _BY_PHRASE)):
        return True
    return _DEVICES.search(lowered) is not None and any(matches(lowered) for matches in _BY_DEVICE)


def is_footer(paragraph: str) -> bool:
    """Whether a paragraph, in lower case, is a legal, list or scanner footer."""
    if any(phrase in paragraph for phrase in _FOOTERS):
        return True
    if len(paragraph) < 25:
        return False
    stems = sum(stem in paragraph for stem in _LEGAL)
    return stems >= 4 or (stems >= 2 and paragraph.lstrip("_-* ").startswith(_LEGAL_OPENS))
