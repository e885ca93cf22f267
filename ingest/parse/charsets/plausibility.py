"""Whether a reading of octets, though every octet of it fits, is one that a person may have written."""

import re

from ingest.parse.charsets.chinese import GB18030_2005

_WESTERN = re.compile(r"[\x00-\x7fäöüßàâáãéèêëíîïìóôòõúûùçñåæøœÄÖÜÉÈÊÀÁÂÇÑÅØÆÓÍÚ¿¡«»„“”‘’–—…€£§°·´\xa0©®™•²³½]*")
_RARE = re.compile(
    r"""[\u0180-\u019f\u01a2-\u01ae\u01b1-\u0217\u021c-\u02af\u0370-\u0373\u0376-\u0379\u0500-\u058f\u0700-\u08ff\x80-\x9f]
    |[¤¦¨ª¬¯´¶¸À-ÖØ-öø-\u024f][\u0370-\u06ff]
    |[\u0370-\u06ff][¤¦¨ª¬¯´¶¸À-ÖØ-öø-\u024f]""",
    re.VERBOSE,
)
"""Characters and neighbours that hardly occur: where few octets read as UTF-8 give them, it is not UTF-8."""
_LATIN = frozenset({"cp1252", "cp1250", "cp1254", "cp1257", "iso8859_2", "iso8859_15"})
_MIXED_WORD = re.compile(
    r"[A-Za-z][\u0370-\u058f\u05d0-\u06ff\u0e00-\u0e7f]|[\u0370-\u058f\u05d0-\u06ff\u0e00-\u0e7f][A-Za-z]"
)
"""Letters of two scripts side by side in one word: nobody writes so."""
_CYRILLIC = frozenset({"cp1251", "koi8_r", "koi8_u"})
_TURNED_WORD = re.compile(r"\b[а-яё][А-ЯЁ]+\b")
_SMALL_LETTERS = re.compile("[а-яё]{2}")
"""A text in KOI8 read as cp1251, or the other way round, has its capitals and small letters exchanged."""
_PRIVATE = re.compile("[\ue000-\uf8ff]")
"""Characters that mean something to their sender alone."""
_ASCII_TEXT = b" abcdefghijklmnopqrstuvwxyz"
_SURE = 0.12
"""The detector's confidence above which it is believed against the Western reading of a text."""


def is_ascii_mostly(octets: bytes) -> bool:
    """Whether most octets are small letters and spaces of ASCII: text that no charset of wide characters looks like."""
    return len(octets.translate(None, _ASCII_TEXT)) * 2 < len(octets)


def is_misread(text: str, codec: str) -> bool:
    """Whether a reading that fits is of another charset all the same: nobody writes what it shows."""
    if codec == "gb18030":
        return len(_PRIVATE.findall(text.translate(GB18030_2005))) * 10 > len(text)
    if codec in _CYRILLIC:
        return _TURNED_WORD.search(text) is not None and _SMALL_LETTERS.search(text) is None
    return codec == "cp1252" and _is_accented_throughout(text)


def _is_accented_throughout(text: str) -> bool:
    """Whether a Western reading has so many accented letters in a row that it must be of another script."""
    letters = [c for c in text[:4000] if c.isalpha()]
    accented = sum(not c.isascii() for c in letters)
    return accented > 8 and accented > 0.7 * len(letters)


def is_rather_western(western: str, codec: str, confidence: float) -> bool:
    """Whether a text whose accents are all common in Western Europe is written in one of its languages.

    Against another Latin alphabet, where the detector is not sure; against another script, where ASCII prevails."""
    if _WESTERN.fullmatch(western) is None:
        return False
    if codec in _LATIN:
        return confidence < _SURE
    letters = [character for character in western if character.isalpha()]
    return len(letters) > 3 * sum(not letter.isascii() for letter in letters)


def is_rare(text: str) -> bool:
    """Whether characters or neighbours are in it that hardly occur."""
    return _RARE.search(text) is not None


def mixes_scripts(text: str) -> bool:
    """Whether letters of two scripts stand in one word."""
    return _MIXED_WORD.search(text) is not None
