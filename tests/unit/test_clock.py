"""The clock of everything that waits."""

from ingest.clock import SteadyClock


class Hands:
    """A wall clock that can be set, and the seconds that really went by."""

    def __init__(self) -> None:
        self.wall = 1_700_000_000.0
        self.elapsed = 50.0

    def pass_by(self, seconds: float) -> None:
        self.wall += seconds
        self.elapsed += seconds


def clock_and_hands() -> tuple[SteadyClock, Hands]:
    hands = Hands()
    return SteadyClock(lambda: hands.wall, lambda: hands.elapsed), hands


def test_it_shows_the_time_of_the_wall_clock() -> None:
    clock, hands = clock_and_hands()
    hands.pass_by(10)
    assert clock() == hands.wall


def test_a_wall_clock_set_back_does_not_set_it_back() -> None:
    clock, hands = clock_and_hands()
    before = clock()
    hands.wall -= 3600
    hands.pass_by(5)
    assert clock() == before + 5


def test_a_wall_clock_set_forward_is_followed() -> None:
    clock, hands = clock_and_hands()
    hands.wall += 3600
    assert clock() == hands.wall


def test_it_goes_on_steadily_after_the_wall_clock_was_set_forward_and_back() -> None:
    clock, hands = clock_and_hands()
    hands.wall += 3600
    ahead = clock()
    hands.wall -= 3600
    hands.pass_by(7)
    assert clock() == ahead + 7
