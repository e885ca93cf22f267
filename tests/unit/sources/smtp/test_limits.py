"""What a client may use, and the account that is kept of it."""

import pytest

from ingest.config.settings import Settings
from ingest.sources.smtp.limits import MAX_CLIENT_RATES, MemoryReservation, SmtpLimits, penalty


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def limits(clock: Clock | None = None, max_bytes: int = 0, **values: int) -> SmtpLimits:
    return SmtpLimits(Settings(**values), clock or Clock(), max_bytes=max_bytes)  # type: ignore[arg-type]  # all of them are numbers


def test_connections_are_counted_in_all_and_for_each_client() -> None:
    counted = limits(max_connections=3, max_connections_per_client=2)
    assert [counted.connect(client) for client in "aaabb"] == [True, True, False, True, False]
    counted.disconnect("a")
    assert [counted.connect(client) for client in "bb"] == [True, False]


def test_a_rate_allows_a_burst_of_a_minute_and_then_its_even_flow() -> None:
    clock = Clock()
    counted = limits(clock, max_messages_per_minute=6)
    assert [counted.begin_message("192.0.2.1") for _ in range(7)] == [True] * 6 + [False]
    assert counted.begin_message("192.0.2.2")
    clock.now += 10
    assert [counted.begin_message("192.0.2.1") for _ in range(2)] == [True, False]
    clock.now += 3600
    assert [counted.begin_message("192.0.2.1") for _ in range(7)] == [True] * 6 + [False]


def test_a_clock_that_is_set_back_takes_nothing_away() -> None:
    clock = Clock()
    counted = limits(clock, max_messages_per_minute=2)
    counted.begin_message("192.0.2.1")
    clock.now -= 500
    assert counted.begin_message("192.0.2.1")


def test_no_more_rates_are_remembered_than_memory_allows() -> None:
    counted = limits(max_messages_per_minute=1, max_messages_per_domain=0)
    counted.begin_message("198.51.100.1")
    for number in range(MAX_CLIENT_RATES):
        counted.begin_message(f"10.0.{number // 256}.{number % 256}")
    assert counted.begin_message("198.51.100.1")


def test_a_mail_that_one_rate_refuses_costs_the_others_nothing() -> None:
    counted = limits(max_messages_per_sender=1, max_messages_per_domain=2)
    assert [counted.begin_message("192.0.2.1", f"{name}@b.example") for name in "aaab"] == [True, False, False, True]


def test_reports_share_one_rate() -> None:
    counted = limits(max_messages_per_sender=1, max_messages_per_domain=2)
    assert [counted.begin_message("192.0.2.1", "") for _ in range(3)] == [True, True, False]


def test_silence_is_allowed_for_less_and_less_time_as_connections_are_used_up() -> None:
    counted = limits(max_connections=4, smtp_idle=300)
    allowed = []
    for _ in range(4):
        counted.connect("192.0.2.1")
        allowed.append(counted.idle_seconds())
    assert allowed == [300.0, 300.0, 150.0, 10.0]


def test_octets_are_held_until_a_message_is_done() -> None:
    counted = limits(max_message_bytes=100_000, max_bytes=200_000)
    with MemoryReservation(counted) as one, MemoryReservation(counted) as other:
        assert one.reserve(150_000)
        assert other.reserve(50_000)
        assert not one.reserve(1)
        assert one.refused
        assert other.reserve(150_000)
    with MemoryReservation(counted) as again:
        assert again.reserve(200_000)


def test_there_is_always_room_for_two_of_the_largest_mails() -> None:
    counted = limits(max_message_bytes=100_000, max_bytes=1)
    assert counted.reserve_bytes(200_000)


@pytest.mark.parametrize(
    ("reply", "points"),
    [
        ("250 2.0.0 OK", 0),
        ("354 go on", 0),
        ("550 5.7.1 no", 50),
        ("550 5.1.1 no", 5),
        ("450 4.7.1 wait", 10),
        ("452 4.5.3 too many", 0),
    ],
)
def test_mistakes_cost_more_than_refusals_and_recipients_too_many_nothing(reply: str, points: int) -> None:
    assert penalty(reply) == points
