"""Replies of aiosmtpd, completed with enhanced status codes."""

import pytest

from ingest.sources.smtp.replies import enhanced


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("250 OK", "250 2.0.0 OK"),
        ("250 2.1.0 Ok", "250 2.1.0 Ok"),
        ("503 Error: need RCPT command", "503 5.5.1 Error: need RCPT command"),
        ("552 Error: message size exceeds it", "552 5.3.4 Error: message size exceeds it"),
        ("354 End data", "354 End data"),
    ],
)  # fmt: skip
def test_aiosmtpds_replies_are_given_enhanced_status_codes(theirs: str, ours: str) -> None:
    assert enhanced(theirs) == ours
