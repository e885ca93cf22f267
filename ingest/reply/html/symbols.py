"""What markup says by a picture, a font or a place above the line, said in characters."""

import re

_EMOJI = re.compile(
    "(?:[\u00a9\u00ae\u200d\u203c-\u3299\ufe0f\U0001f000-\U0001fbff\U000e0020-\U000e007f]|[0-9#*]\ufe0f?\u20e3){1,20}"
)
_WINGDINGS = str.maketrans(
    {
        "J": "🙂", "K": "😐", "L": "🙁", "à": "→", "ß": "←", "è": "➔", "ç": "⬅", "ó": "↔", "ü": "✓", "û": "✗",
        "þ": "☑", "ý": "☒", "o": "☐", "¨": "☐", "§": "▪", "Ø": "➢", "l": "●", "n": "■", "q": "❑", "v": "❖",
    }
)  # fmt: skip
"""What Word's AutoCorrect and its bullets take from the font; the letter alone says nothing."""
_SYMBOL_FONT = re.compile(r"font-family:[\"']?wingdings[\"']?(?:[;,]|$)")
_LONGEST = 3
_RAISED = str.maketrans("0123456789+-−()n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁽⁾ⁿ")
_LOWERED = str.maketrans("0123456789+-−()", "₀₁₂₃₄₅₆₇₈₉₊₋₋₍₎")
_PLACES = {"sup": _RAISED, "sub": _LOWERED}


def is_emoji(text: str) -> bool:
    """Whether the alternative text of a picture is what the picture shows."""
    return _EMOJI.fullmatch(text) is not None


def is_symbol_font(style: str, face: str) -> bool:
    """Whether letters are shown as pictographs. ``style`` is in lower case and without spaces."""
    return face.lower() == "wingdings" or _SYMBOL_FONT.search(style) is not None


def pictographs(letters: str) -> str:
    """The signs that a few letters of the symbol font show."""
    return letters.translate(_WINGDINGS) if len(letters) <= _LONGEST else letters


def placed(tag: str, text: str) -> str:
    """The text of a ``<sup>`` or ``<sub>``: 10 to the sixth is not 106."""
    table = _PLACES.get(tag, {})
    return text.translate(table) if all(ord(character) in table for character in text) else text
