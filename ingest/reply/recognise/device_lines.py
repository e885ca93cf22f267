"""Recognises the lines that a telephone or a mail program adds at the end of a mail: ``Sent from my iPhone``."""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache

from ingest.languages import all_words, any_of
from ingest.reply.lines import BodyLine

_MAX_CHARACTERS = 160
"""A device line is no longer than this many characters."""
_MAX_WORDS = 16
"""A device line has at most this many words; a longer line that begins like one is a sentence."""
_MAX_CERTAIN_WORDS = 8
"""A phrase such as ``sent from my …`` is believed beside the name of an unknown model, such as ``X200``, in a line of
at most this many words."""
_MAX_WORDS_BEHIND_DEVICE = 2
"""Behind the device, up to the next punctuation mark, a device line has at most this many words, such as ``using
Tapatalk``; a sentence goes on."""
_MAX_SHORT_WORDS = 6
"""A phrase that begins many a sentence, such as ``from my …``, is believed in a line of at most this many words."""
_MAX_SHORT_CHARACTERS = 45
"""A phrase such as ``from my …`` is believed in a line of at most this many characters, too."""
_PRODUCTS = (
    *("iphone", "ipad", "ipod", "android", "blackberry", "galaxy", "samsung", "huawei", "xiaomi", "redmi", "oppo"),
    *("vivo", "honor", "htc", "nokia", "lumia", "windows", "outlook", "mailbox", "mail.ru", "airmail", "spark"),
    *("proton", "protonmail", "yahoo", "gmail", "surface", "pixel", "sony", "xperia", "lg", "moto", "motorola"),
    *("oneplus", "fairphone", "superhuman", "hey", "thunderbird", "k-9", "bluemail", "mailspring", "newton", "edison"),
    *("typeapp", "mymail", "yandex", "яндекс", "aqua", "nine", "boxer", "spike", "canary", "zoho", "tuta", "tutanota"),
    *("fastmail", "posteo", "gmx", "web.de", "aol", "orange", "libero", "mailbird", "em client", "shortwave"),
    *("mailbutler", "mac", "macbook", "imac", "ios", "qq", "foxmail"),
)
"""Names of devices and mail programs, which are the same in every language."""
_WHOLE_WORDS = ("cell", "watch")
"""Words for devices with which other words begin: ``cellar``."""
_PRODUCTS_ANYWHERE = ("iphon", "ipad", "android", "小米", "华为", "華為", "三星", "苹果", "蘋果", "荣耀")
"""Names that are believed inside a word, too: Hebrew and Arabic join prepositions to them, Finnish joins endings, and
Chinese has no spaces."""
_PLATFORM = r"(?<![a-z])(?:ios|android)"
_OUTLOOK_ADVERTISEMENT = re.compile(rf"outlook\b.{{0,40}}{_PLATFORM}|{_PLATFORM}.{{0,40}}outlook")
"""``Get Outlook for iOS``, in any language."""
_MODEL = re.compile(r"(?<![\w@])(?=[\w-]{0,20}\d)(?=[\w-]{0,20}[^\W\d_])[\w-]{2,20}(?![\w@])")
"""A word of letters and digits, as models of telephones are called: ``SM-G960F``."""
_CLAUSE_END = re.compile(r"[.,;:!?()\-–—|/<\[]")
_PROGRAM_WORDS = frozenset(
    ("mail", "email", "e-mail", "app", "secure", "for", "für", "pour", "para", "per", "от", "для")
)
"""Words that stand behind the name of a program or belong to it: ``Proton Mail secure email``, ``Mail for Windows``."""
_URL_ALONE = re.compile(r"[(<\[]?(?:https?://|www\.)\S{3,200}")
_TRACKER_CHARACTERS = frozenset({"ᐧ"})
"""Single characters that mail-tracking extensions leave in the body (U+1427)."""

LineTest = Callable[[str], bool]


def find_device_lines(lines: Sequence[BodyLine], first: int, stop: int) -> int:
    """Return the index of the first of the device lines at the end of the paragraph ``first`` to ``stop - 1``; ``stop``
    if it ends in none."""
    at = stop
    if stop - first > 1 and _URL_ALONE.fullmatch(lines[stop - 1].plain) and is_device_line(lines[stop - 2].plain):
        at -= 1  # the address of the program's maker
    while at > first and is_device_line(lines[at - 1].plain):
        at -= 1
    return at


def is_device_line(text: str) -> bool:
    """Return whether a telephone, a mail program or a tracker added this line."""
    if text in _TRACKER_CHARACTERS:
        return True
    lowered = text.lower().strip("()<>[]«»~-–—_ .!,")
    word_count = len(lowered.split())
    if not lowered or word_count > _MAX_WORDS or len(lowered) > _MAX_CHARACTERS or lowered.endswith(("?", "？")):
        return False
    if _OUTLOOK_ADVERTISEMENT.search(lowered) is not None and word_count <= _MAX_CERTAIN_WORDS:
        return True
    return _has_phrase(lowered, word_count) and _weekdays().search(lowered) is None


def _has_phrase(lowered: str, word_count: int) -> bool:
    """Return whether a line has a phrase such as ``sent from …`` and names a device or a program."""
    device = _last_device(lowered)
    if device is None and _MODEL.search(lowered) is None:
        return False
    is_certain = any(test(lowered) for test in _certain_device_lines())
    if device is None:
        return is_certain and word_count <= _MAX_CERTAIN_WORDS
    if is_certain and word_count <= _MAX_CERTAIN_WORDS:
        return True
    is_short = word_count <= _MAX_SHORT_WORDS and len(lowered) <= _MAX_SHORT_CHARACTERS
    tests = (*_device_lines(), *_short_device_lines()) if is_short else _device_lines()
    return not _goes_on(lowered[device.end() :]) and (is_certain or any(test(lowered) for test in tests))


def _last_device(lowered: str) -> re.Match[str] | None:
    """Return the last name of a device or a program in a line."""
    return max(_device_words().finditer(lowered), key=re.Match.end, default=None)


def _goes_on(behind: str) -> bool:
    """Return whether a sentence goes on behind the name of a device."""
    clause = _CLAUSE_END.split(behind, maxsplit=1)[0].split()
    return sum(word not in _PROGRAM_WORDS for word in clause) > _MAX_WORDS_BEHIND_DEVICE


@cache
def _weekdays() -> re.Pattern[str]:
    """Match a day of the week: a sentence names one, and a device line never does."""
    return re.compile(rf"(?<!\w){any_of(all_words(lambda language: language.weekdays))}(?!\w)")


@cache
def _device_words() -> re.Pattern[str]:
    """Match a product, or a device word of any language; the head of ``languages.toml`` says where in a word."""
    words = list(all_words(lambda language: language.device_words))
    anywhere = [word for word in words if word.upper() == word]
    beginnings = any_of(word for word in words if word.upper() != word)
    whole = rf"{any_of((*_PRODUCTS, *_WHOLE_WORDS))}(?![^\W\d_])"
    return re.compile(rf"(?<!\w)(?:{whole}|{beginnings}\w*)|{any_of((*_PRODUCTS_ANYWHERE, *anywhere))}\w*")


@cache
def _device_lines() -> tuple[LineTest, ...]:
    return _line_tests(all_words(lambda language: language.device_lines))


@cache
def _certain_device_lines() -> tuple[LineTest, ...]:
    return _line_tests(all_words(lambda language: language.device_lines_certain))


@cache
def _short_device_lines() -> tuple[LineTest, ...]:
    return _line_tests(all_words(lambda language: language.device_lines_short))


def _line_tests(phrases: Iterable[str]) -> tuple[LineTest, ...]:
    return tuple(map(_line_test, phrases))


def _line_test(phrase: str) -> LineTest:
    """Return a test of whether a line is ``phrase``, in which ``…`` stands for any words."""
    head, wildcard, tail = phrase.partition("…")
    head = head.rstrip() if not tail else head
    if not wildcard:
        return lambda text: text.startswith(head)
    return lambda text: text.startswith(head) and text.endswith(tail.strip()) and len(text) > len(head)
