"""Folder names in modified UTF-7."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.sources.imap.protocol.grammar import (
    parse_values,
)
from ingest.sources.imap.protocol.utf7 import decode_folder, encode_folder


@pytest.mark.parametrize(
    ("name", "on_the_wire"),
    [
        ("INBOX", b'"INBOX"'),
        ("Sent & done", b'"Sent &- done"'),
        ("Entwürfe", b'"Entw&APw-rfe"'),
        ("~peter/mail/台北/日本語", b'"~peter/mail/&U,BTFw-/&ZeVnLIqe-"'),
        ('say "hi" \\ bye', b'"say \\"hi\\" \\\\ bye"'),
        ("😀", b'"&2D3eAA-"'),
    ],
)
def test_a_folder_name_goes_to_the_wire_in_modified_utf_7(name: str, on_the_wire: bytes) -> None:
    assert encode_folder(name) == on_the_wire


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_a_folder_name_comes_back_as_it_went(name: str) -> None:
    [there] = parse_values([encode_folder(name)])
    assert isinstance(there, bytes)
    assert decode_folder(there) == name


@given(st.binary())
def test_any_octets_are_readable_as_a_name(name: bytes) -> None:
    assert isinstance(decode_folder(name), str)
