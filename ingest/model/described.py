"""A string enum whose members each carry their meaning, so that documentation can be generated from the code."""

from enum import StrEnum
from typing import Self


class DescribedStrEnum(StrEnum):
    """Base of enums that are written ``NAME = "value", "Meaning in one sentence."``.

    A member is its value wherever text is expected: in a database row, in JSON, in an f-string.
    """

    meaning: str
    """What the member stands for, in one sentence; ``docs/rules.md`` prints it."""

    def __new__(cls, value: str, meaning: str) -> "DescribedStrEnum":
        """Create the member ``value``; called by ``enum`` for each line of the class."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    @classmethod
    def named(cls, value: str) -> Self:
        """Return the member with this value.

        Raises:
            ValueError: there is none.
        """
        for member in cls:
            if member.value == value:
                return member
        raise ValueError(f"{value!r} is none of {', '.join(cls)}")
