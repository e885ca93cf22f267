"""Decoded text that a person may have written, and text that nobody writes."""

from ingest.parse.charsets.decode import decode_text


def test_capitals_in_cyrillic_are_no_wrong_charset() -> None:
    assert decode_text("НЕ МОГУ ВОЙТИ".encode("cp1251"), "windows-1251").repair == ""
