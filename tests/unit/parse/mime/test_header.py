"""The header block: which lines are fields, and where it ends."""

import pytest

from ingest.model.defects import DefectKind
from ingest.model.message import Address
from ingest.parse import parse
from ingest.parse.limits import MAX_FIELD_BYTES
from tests.support.mime import FROM_ALICE, defect_kinds, mail

ALICE = Address(display_name="Alice Archer", addr_spec="alice@customer.example")
TRACE = b"Received: from a by b; Mon, 2 Nov 2026 10:00:00 +0100\r\n"
REST = FROM_ALICE + b"\r\nSubject: Toner\r\nTo: help@mail.example\r\n\r\nHello\r\n"


@pytest.mark.parametrize(
    ("content", "defect"),
    [
        (b"\xef\xbb\xbf" + REST, "byte order mark"),
        (TRACE + b"\xef\xbb\xbf" + REST, "byte order mark"),
        (b"From alice Mon Nov  2 10:00:00 2026\r\n" + REST, "mbox From"),
        (TRACE + b"From alice Mon Nov  2 10:00:00 2026\r\n" + REST, "mbox From"),
        (b">From alice Mon Nov  2 10:00:00 2026\r\n" + REST, "mbox From"),
        (b"\r\n\r\n" + REST, "white space"),
        (TRACE + b"\r\n" + REST, "blank line"),
        (b"X-Spam: no\r\nthis is no field\r\n" + REST, "no field stands"),
        (b" a line that continues nothing\r\n" + REST, "no field stands"),
    ],
    ids=[
        "byte order mark",
        "byte order mark below a trace field",
        "mbox From line",
        "mbox From line below a trace field",
        "quoted mbox From line",
        "blank lines on top",
        "blank line below the trace field",
        "line without a colon",
        "continuation of nothing",
    ],
)
def test_what_stands_before_or_among_the_fields_costs_no_field(content: bytes, defect: str) -> None:
    message = parse(content)
    assert (message.subject, message.from_, message.text) == ("Toner", (ALICE,), "Hello\n")
    assert any(defect in str(each) for each in message.defects)


def test_a_space_before_the_colon_does_not_end_the_header() -> None:
    message = parse(b"Subject : Toner\r\n" + FROM_ALICE + b"\r\n\r\nHello")
    assert (message.subject, message.from_, message.text) == ("Toner", (ALICE,), "Hello")


def test_a_body_without_the_blank_line_before_it_is_kept() -> None:
    message = parse(FROM_ALICE + b"\r\nHello Sam,\r\n\r\nthe toner is empty.\r\n")
    assert message.text == "Hello Sam,\n\nthe toner is empty.\n"
    assert DefectKind.HEADER in defect_kinds(message)


@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r"], ids=["CRLF", "LF", "CR"])
@pytest.mark.parametrize("trace", [b"", TRACE], ids=["alone", "below our trace field"])
def test_any_line_end_will_do(end: bytes, trace: bytes) -> None:
    message = parse(trace + REST.replace(b"\r\n", end))
    assert (message.subject, message.from_, message.text) == ("Toner", (ALICE,), "Hello\n")


def test_a_field_over_the_limit_is_cut_and_references_keep_both_ends() -> None:
    newest = b"<newest@e.example>"
    filler = b" <%d@e.example>"
    references = b" <root@e.example>" + b"".join(filler % number for number in range(2000)) + b"\r\n " + newest
    message = parse(mail("hi", b"References:" + references, b"Subject: " + b"x" * 20_000))
    assert (message.references[0], message.references[-1]) == ("root@e.example", "newest@e.example")
    assert all(reference.endswith("@e.example") for reference in message.references)
    assert len(message.subject) < MAX_FIELD_BYTES
    assert DefectKind.CUT in defect_kinds(message)
