"""Logs: one event a line, nothing raw from a mail, nothing private."""

import json

import pytest
import structlog

from ingest import log


@pytest.fixture(autouse=True)
def _configured_anew() -> object:
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain text, with ümlauts and 日本語", "plain text, with ümlauts and 日本語"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("two\r\nlines", "two\\r\\nlines"),
        ("right\u202eleft", "right\\u202eleft"),
        ("half a pair \udcff", "half a pair \\udcff"),
        ("", ""),
    ],
)
def test_control_and_invisible_characters_are_written_as_escapes(raw: str, shown: str) -> None:
    assert log.printable(raw) == shown


@pytest.mark.parametrize("raw", ["x" * 1000, "\x00" * 1000])
def test_a_value_is_cut_to_its_limit_with_a_sign_that_it_was(raw: str) -> None:
    shown = log.printable(raw, 10)
    assert len(shown) == 10
    assert shown.endswith("…")


def test_a_value_as_long_as_its_limit_is_whole() -> None:
    assert log.printable("x" * 10, 10) == "x" * 10


@pytest.mark.parametrize(
    ("address", "shown"),
    [("alice@customer.example", "a…@customer.example"), ("@customer.example", "…@customer.example"), ("alice", "al……")],
)
def test_an_address_is_shortened_to_what_is_needed_to_recognise_it(address: str, shown: str) -> None:
    assert log.redact_address(address) == shown


def test_json_lines_hold_the_event_the_part_and_the_bound_queue_id(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("info", "json")
    with structlog.contextvars.bound_contextvars(queue_id="q1"):
        log.get("worker").info("delivered", subject="a\nb")
    (line,) = capsys.readouterr().err.splitlines()
    logged = json.loads(line)
    assert logged["event"] == "delivered"
    assert (logged["part"], logged["queue_id"], logged["level"]) == ("worker", "q1", "info")
    assert logged["subject"] == "a\\nb"


def test_console_lines_carry_no_terminal_escape_of_a_mail(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("info", "console")
    log.get("smtp").info("stored", helo="\x1b]0;title\x07")
    assert "\x1b" not in capsys.readouterr().err


def test_lines_below_the_level_are_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("warning", "json")
    log.get("smtp").info("stored")
    assert capsys.readouterr().err == ""


def test_a_traceback_keeps_its_lines_but_no_terminal_escape_of_a_mail(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("info", "console")
    try:
        raise RuntimeError("subject \x1b[2J")
    except RuntimeError:
        log.get("worker").exception("failed")
    written = capsys.readouterr().err
    assert len(written.splitlines()) > 2
    assert "\x1b" not in written
