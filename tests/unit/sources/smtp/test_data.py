"""Reading DATA and command lines: exact wherever the network cuts, and never more memory than the limit allows."""

import asyncio
import itertools
import tracemalloc
from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingest.sources.smtp.data import MAX_DROPPED_LINE_BYTES, MAX_LINE_BYTES, EndlessLineError, MessageData, SmtpReader

TRACE = b"Received: from x\r\n\tby y; date\r\n"
ODD_OCTETS = st.lists(st.sampled_from([b"\r", b"\n", b".", b"a", b"\r\n", b"\r\n.", b"\x00"]), max_size=40).map(
    b"".join
)


def on_the_wire(message: bytes) -> bytes:
    """What a client sends for ``message``, which ends with a line end or is empty (RFC 5321 section 4.5.2)."""
    return (b"\r\n" + message).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n"


def pieces(octets: bytes, cuts: Iterable[int]) -> list[bytes]:
    places = sorted({0, len(octets), *(cut % (len(octets) + 1) for cut in cuts)})
    return [octets[start:end] for start, end in itertools.pairwise(places)]


def read(chunks: Iterable[bytes], limit: int = 10_000) -> tuple[bytes | None, bytes]:
    """The content without its trace field, and what came behind the end."""
    data = MessageData(TRACE, limit)
    chunks = list(chunks)
    for number, chunk in enumerate(chunks):
        rest = data.feed(chunk)
        if rest is not None:
            content = data.content()
            assert content is None or content.startswith(TRACE)
            return content and content[len(TRACE) :], rest + b"".join(chunks[number + 1 :])
    raise AssertionError("the end was not found")


@given(ODD_OCTETS, st.lists(st.integers(min_value=0), max_size=10))
@example(b".", [1, 2, 3, 4, 5])
@example(b"", [1])
@example(b"..\r\n.", [2, 3, 5])
def test_a_message_is_read_exactly_wherever_it_is_cut(text: bytes, cuts: list[int]) -> None:
    message = text + b"\r\n"
    assert read(pieces(on_the_wire(message) + b"QUIT\r\n", cuts)) == (message, b"QUIT\r\n")


@given(ODD_OCTETS)
def test_a_message_is_read_exactly_octet_by_octet(text: bytes) -> None:
    message = text + b"\r\n"
    assert read(bytes([octet]) for octet in on_the_wire(message)) == (message, b"")


def test_a_message_of_nothing_is_nothing() -> None:
    assert read([b".\r\n"]) == (b"", b"")


def test_the_limit_counts_the_message_and_not_the_dots_of_the_journey() -> None:
    message = b".\r\n" * 100
    assert read([on_the_wire(message)], limit=300) == (message, b"")
    assert read([on_the_wire(message)], limit=299) == (None, b"")


@given(st.integers(1, 5000), st.integers(1, 700))
def test_a_message_above_the_limit_is_dropped_and_its_end_found(surplus: int, size: int) -> None:
    octets = on_the_wire(b"x" * (2_000 + surplus) + b"\r\n") + b"NOOP\r\n"
    chunks = [octets[start : start + size] for start in range(0, len(octets), size)]
    assert read(chunks, limit=2_000) == (None, b"NOOP\r\n")


@pytest.mark.parametrize("octets", [b"x", b"\n", b"\r\n", b"."])
def test_memory_stays_bounded_while_octets_come_without_end(octets: bytes) -> None:
    limit, chunk = 1_000_000, octets * (50_000 // len(octets))
    tracemalloc.start()
    try:
        data = MessageData(TRACE, limit)
        for _ in range(400):
            assert data.feed(chunk) is None
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * limit
    assert not data.kept
    assert data.dropped == pytest.approx(400 * len(chunk), abs=100)


def wire(*chunks: bytes) -> SmtpReader:
    reader = asyncio.StreamReader()
    for chunk in chunks:
        reader.feed_data(chunk)
    reader.feed_eof()
    return SmtpReader(reader)


async def test_lines_end_with_crlf_or_a_line_feed_alone() -> None:
    source = wire(b"EHLO a\r\nNOOP\nQU", b"IT\r\n")
    assert [await source.line() for _ in range(3)] == [b"EHLO a", b"NOOP", b"QUIT"]
    with pytest.raises(EOFError):
        await source.line()


async def test_a_line_without_its_end_is_no_line() -> None:
    with pytest.raises(EOFError):
        await wire(b"QUIT").line()


async def test_an_overlong_line_is_dropped_and_the_next_one_read() -> None:
    source = wire(
        b"x" * (MAX_LINE_BYTES + 1) + b"\r\n" + b"y" * 100_000, b"\r\nQUIT\r\n" + b"z" * (MAX_LINE_BYTES - 2) + b"\r\n"
    )
    assert [await source.line() for _ in range(4)] == [None, None, b"QUIT", b"z" * (MAX_LINE_BYTES - 2)]


async def test_a_line_without_end_is_given_up() -> None:
    with pytest.raises(EndlessLineError):
        await wire(b"x" * (MAX_DROPPED_LINE_BYTES + MAX_LINE_BYTES + 1)).line()


async def test_what_is_put_back_is_read_first() -> None:
    source = wire(b"354 data", b" and more")
    assert await source.chunk() == b"354 data and more"
    source.push_back(b"QUIT\r\nNOOP\r\n")
    assert source.has_line
    assert await source.line() == b"QUIT"
    assert await source.chunk() == b"NOOP\r\n"
    assert not source.pending
