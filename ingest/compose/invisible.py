"""Takes the effect from characters that nobody sees or that call people: bidirectional overrides, and the signs by
which chat programs address a person, a channel or everybody.

The words stay as they were written. A sign loses its effect by a word joiner (U+2060) behind it, which takes no room
and has no look, so that the text reads the same raw, rendered, and inside code.
"""

import re

WORD_JOINER = "\u2060"
"""Has no width and no look; unlike a zero width space, it allows no line break."""
MAX_NAME_CHARACTERS = 200
"""What is shown of a display name or a file name. Longer ones are made to push something out of sight."""

_MENTION = re.compile(
    r"<(?=!(?:channel|here|everyone|group|subteam|date)\b|[@#][!&]?[A-Z0-9]|users/)"  # Slack, Discord, Google Chat
    r"|(?<![\w.@/+-])@(?=(?:channel|here|everyone|all)\b(?![.@-]\w))",
    re.IGNORECASE,
)
_EMBEDDING = re.compile("[\u202a-\u202e\u2066-\u2069]")
_OVERRIDE = re.compile("[\u202d\u202e]")
_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_ENDINGS = {"\u202c": "embedding", "\u2069": "isolate"}
_BEGINNINGS = {"\u202a": "embedding", "\u202b": "embedding", "\u2066": "isolate", "\u2067": "isolate"} | {
    "\u2068": "isolate"
}


def without_effect(text: str) -> str:
    """Return a text whose lines keep their direction to themselves and that calls nobody. Linear in its size."""
    if _EMBEDDING.search(text):
        text = "\n".join(map(_line_of_own_direction, text.split("\n")))
    return _MENTION.sub(rf"\g<0>{WORD_JOINER}", text)


def shown_name(name: str) -> str:
    """Return a name of a person or of a file as one line that calls nobody, without characters that cannot be seen."""
    words = " ".join(_BIDI.sub("", name).split())
    visible = "".join(character if character.isprintable() else "\ufffd" for character in words)
    return without_effect(visible if len(visible) <= MAX_NAME_CHARACTERS else f"{visible[: MAX_NAME_CHARACTERS - 1]}…")


def _line_of_own_direction(line: str) -> str:
    """Return a line without controls of direction (Unicode Standard Annex 9) that turn letters round or that the line
    does not end itself. A balanced pair stays: mail programs put it around a number inside Hebrew or Arabic."""
    controls = _EMBEDDING.findall(line)
    if not controls or (not _OVERRIDE.search(line) and _are_balanced(controls)):
        return line
    return _EMBEDDING.sub("", line)


def _are_balanced(controls: list[str]) -> bool:
    opened: list[str] = []
    for control in controls:
        if control in _BEGINNINGS:
            opened.append(_BEGINNINGS[control])
        elif not opened or opened.pop() != _ENDINGS[control]:
            return False
    return not opened
