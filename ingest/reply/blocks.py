"""A stretch of lines and what it was taken for, before it is decided what stays."""

from dataclasses import dataclass

from ingest.model.message import SegmentKind


@dataclass(frozen=True, slots=True)
class Block:
    """Lines ``start`` up to and without ``stop``."""

    kind: SegmentKind
    start: int
    stop: int
    reason: str = ""
    confidence: float = 1.0
    cited: bool = False
    """A mail program quoted this, by markup or as text that the sender was sent; nobody typed the quote marks."""
    unsearched: bool = False
    """It was taken for a quote as a whole, and nothing of it is known: answers may have been typed into it."""
