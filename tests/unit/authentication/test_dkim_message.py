"""The canonical forms of DKIM: the same as dkimpy's, in linear time."""

import hashlib

import pytest
from dkim.canonicalization import Relaxed, Simple
from hypothesis import given
from hypothesis import strategies as st

from ingest.authentication.dkim_message import (
    MAX_DKIM_FIELDS,
    MAX_DKIM_HEADER_BYTES,
    DkimMessage,
    UnreadableHeader,
    relaxed_body,
    simple_body,
)
from tests.support.complexity import ENDS_WITHIN_SECONDS

BODIES = st.lists(st.sampled_from([b"\r\n", b" ", b"\t", b"a", b"\r", b"\xff", b"."]), max_size=30).map(b"".join)


@given(BODIES)
def test_both_forms_of_a_body_are_those_of_dkimpy(body: bytes) -> None:
    assert (simple_body(body), relaxed_body(body)) == (Simple.canonicalize_body(body), Relaxed.canonicalize_body(body))


@pytest.mark.timeout(ENDS_WITHIN_SECONDS)
@pytest.mark.no_cover
@pytest.mark.parametrize("body", [b" " * 80_000, b"a" + b" \t" * 1_000_000 + b"\r\n", b"\r\n" * 1_000_000])
def test_a_body_of_white_space_costs_little(body: bytes) -> None:
    DkimMessage(b"From: a@b.example\r\n\r\n" + body).body_hash(b"relaxed")


def test_the_hash_and_the_length_are_of_the_canonical_body() -> None:
    message = DkimMessage(b"From: a@b.example\n\nHello  you \n\n\n")
    assert message.body_hash(b"relaxed") == (hashlib.sha256(b"Hello you\r\n").digest(), 11)
    assert message.body_hash(b"simple").length == len(b"Hello  you \r\n")


def test_fields_keep_their_folding_and_end_with_one_line_end() -> None:
    message = DkimMessage(b"From: a@b.example\nSubject: one\n\ttwo\r\n\r\nbody")
    assert message.fields == [(b"From", b" a@b.example\r\n"), (b"Subject", b" one\r\n\ttwo\r\n")]


def test_a_mail_may_have_no_body_and_an_mbox_line_on_top() -> None:
    message = DkimMessage(b"From alice Mon Oct  5\nFrom: a@b.example")
    assert message.fields == [(b"From", b" a@b.example\r\n")]
    assert message.body_hash(b"relaxed").length == 0


@pytest.mark.parametrize(
    "header",
    [
        b"From : a@b.example\r\n",
        b"From: a@b.example\r\nno field\r\n",
        b"Fr\0om: a@b.example\r\n",
        b"X: y\r\n" * (MAX_DKIM_FIELDS + 1),
        b"X: " + b"y" * MAX_DKIM_HEADER_BYTES,
    ],
)
def test_a_header_that_programs_read_differently_is_refused(header: bytes) -> None:
    with pytest.raises(UnreadableHeader):
        DkimMessage(header + b"\r\nbody")
