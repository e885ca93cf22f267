"""What one check of ``ingest check`` found."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What one check found; one line of the output."""

    what: str
    level: Level
    text: str
