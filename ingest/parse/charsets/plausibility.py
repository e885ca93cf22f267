"""Judges whether decoded text is one that a person may have written, though every octet fits its charset."""

import re

from ingest.parse.charsets.chinese import GB18030_2005

_WESTERN = re.compile(r"[\x00-\x7fäöüßàâáãéèêëíîïìóôòõúûùçñåæøœÄÖÜÉÈÊÀÁÂÇÑÅØÆÓÍÚ¿¡«»„“”‘’–—…€£§°·´\xa0©®™•²³½]*")
_RARE = re.compile(
    r"""[\u0180-\u019f\u01a2-\u01ae\u01b1-\u0217\u021c-\u02af\u0370-\u0373\u0376-\u0379\u0500-\u058f\u0700-\u08ff\x80-\x9f]
    |[¤¦¨ª¬¯´¶¸À-ÖØ-öø-\u024f][\u0370-\u06ff]
    |[\u0370-\u06ff][¤¦¨ª¬¯´¶¸À-ÖØ-öø-\u024f]""",
    re.VERBOSE,
)
"""Characters and neighbours that hardly occur. If a few octets give them when decoded as UTF-8, it is not UTF-8."""
_LATIN = frozenset({"cp1252", "cp1250", "cp1254", "cp1257", "iso8859_2", "iso8859_15"})
_MIXED_WORD = re.compile(
    r"[A-Za-z][\u0370-\u058f\u05d0-\u06ff\u0e00-\u0e7f]|[\u0370-\u058f\u05d0-\u06ff\u0e00-\u0e7f][A-Za-z]"
)
"""Letters of two scripts side by side in one word, which nobody writes."""
_CYRILLIC = frozenset({"cp1251", "koi8_r", "koi8_u"})
_TURNED_WORD = re.compile(r"\b[а-яё][А-ЯЁ]+\b")
_SMALL_LETTERS = re.compile("[а-яё]{2}")
"""Text in KOI8 decoded as cp1251, or the other way round, has its capitals and small letters exchanged."""
_PRIVATE = re.compile("[\ue000-\uf8ff]")
"""Private-use characters, which mean something to their sender alone."""
_ASCII_TEXT = b" abcdefghijklmnopqrstuvwxyz"
_MIN_SURE_CONFIDENCE = 0.12
"""The detector's confidence (0 to 1) from which its answer is preferred to cp1252."""


def is_ascii_mostly(octets: bytes) -> bool:
    """Whether most octets are small letters and spaces of ASCII, which text in UTF-16 or UTF-32 never looks like."""
    return len(octets.translate(None, _ASCII_TEXT)) * 2 < len(octets)


def is_misread(text: str, codec: str) -> bool:
    """Whether text that ``codec`` decoded must be in another charset, because nobody writes what it shows."""
    if codec == "gb18030":
        return len(_PRIVATE.findall(text.translate(GB18030_2005))) * 10 > len(text)
    if codec in _CYRILLIC:
        return _TURNED_WORD.search(text) is not None and _SMALL_LETTERS.search(text) is None
    return codec == "cp1252" and _is_accented_throughout(text)


def _is_accented_throughout(text: str) -> bool:
    """Whether text decoded as cp1252 has so many accented letters that it must be in another script."""
    letters = [c for c in text[:4000] if c.isalpha()]
    accented = sum(not c.isascii() for c in letters)
    return accented > 8 and accented > 0.7 * len(letters)


def is_rather_western(western: str, codec: str, confidence: float) -> bool:
    """Whether cp1252 is likelier than the detected ``codec``.

    It is if all accents are common in Western Europe, and either the detector is not sure of another Latin charset, or
    it found another script although ASCII letters prevail.

    Args:
        western: the text decoded as cp1252.
        codec: the charset that the detector found.
        confidence: how sure it is, 0 to 1.
    """
    if _WESTERN.fullmatch(western) is None:
        return False
    if codec in _LATIN:
        return confidence < _MIN_SURE_CONFIDENCE
    letters = [character for character in western if character.isalpha()]
    return len(letters) > 3 * sum(not letter.isascii() for letter in letters)


def is_rare(text: str) -> bool:
    """Whether the text has characters or neighbours that hardly occur."""
    return _RARE.search(text) is not None


def mixes_scripts(text: str) -> bool:
    """Whether letters of two scripts stand in one word of the text."""
    return _MIXED_WORD.search(text) is not None
