"""What is known of how the ticket API treats a post that it accepts."""

from dataclasses import dataclass

NAMED = "named"
"""The value of ``ApiProfile.posts_as`` for an API that posts under the author that we name."""
NEWS_SECONDS = 60.0
"""A change of the clock difference by more than this is kept in the store; smaller ones would cost a write a post."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiProfile:
    """What the API did with the posts that it accepted. Empty strings and ``None`` mean: not learned."""

    posts_as: str = ""
    """``named``: under the author that we name; else the id of the user under whom it posts everything."""
    source: str = ""
    """The source that it stores."""
    clock_offset_seconds: float | None = None
    """Its clock minus ours."""

    @property
    def keeps_author(self) -> bool:
        """Whether it posts under the author that we name, as far as is known."""
        return self.posts_as in ("", NAMED)

    def differs_from(self, other: "ApiProfile") -> bool:
        """Whether it is worth keeping in place of ``other``: a clock that drifts by less than a minute is no news."""
        mine, others = self.clock_offset_seconds, other.clock_offset_seconds
        is_other_clock = mine is not None and (others is None or abs(mine - others) > NEWS_SECONDS)
        return is_other_clock or (self.posts_as, self.source) != (other.posts_as, other.source)
