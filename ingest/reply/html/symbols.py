"""Says in characters what markup says by a picture, a symbol font, or a position above or below the line."""

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
"""The letters that Word's AutoCorrect and its bullets show in the font Wingdings, and what they look like there."""
_SYMBOL_FONT = re.compile(r"font-family:[\"']?wingdings[\"']?(?:[;,]|$)")
_MAX_SYMBOL_CHARACTERS = 3
"""A longer text in a symbol font is text in the wrong font, not symbols."""
_RAISED = str.maketrans("0123456789+-−()n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁽⁾ⁿ")
_LOWERED = str.maketrans("0123456789+-−()", "₀₁₂₃₄₅₆₇₈₉₊₋₋₍₎")
_POSITIONS = {"sup": _RAISED, "sub": _LOWERED}


def is_emoji(text: str) -> bool:
    """Return whether the alternative text of a picture is the emoji that the picture shows."""
    return _EMOJI.fullmatch(text) is not None


def is_symbol_font(style: str, face: str) -> bool:
    """Return whether a font shows letters as symbols. ``style`` is in lower case and without spaces."""
    return face.lower() == "wingdings" or _SYMBOL_FONT.search(style) is not None


def pictographs(letters: str) -> str:
    """Return the symbols that a few letters of a symbol font show; a longer text is returned as it is."""
    return letters.translate(_WINGDINGS) if len(letters) <= _MAX_SYMBOL_CHARACTERS else letters


def raised_or_lowered(tag: str, text: str) -> str:
    """Return the text of a ``<sup>`` or ``<sub>`` in raised or lowered characters, so that 10⁶ does not become 106. A
    text with a character that has no such form is returned as it is."""
    table = _POSITIONS.get(tag, {})
    return text.translate(table) if all(ord(character) in table for character in text) else text
