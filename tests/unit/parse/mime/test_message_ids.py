"""Message identifiers."""

import pytest

from ingest.model.defects import DefectKind
from ingest.parse import parse
from tests.support.mime import defect_kinds, mail


@pytest.mark.parametrize(
    ("raw", "identifiers"),
    [
        ("<1@E.example>", ("1@e.example",)),
        ("<1@e.example> (added by postmaster@x.example)", ("1@e.example",)),
        ("1@e.example", ("1@e.example",)),
        ("<1@e.example>,<2@e.example> <3@e.example>", ("1@e.example", "2@e.example", "3@e.example")),
        ("<1@e.example><2@e.example>", ("1@e.example", "2@e.example")),
        ("Message from Bob of Mon (see <0@e.example>) <1@e.example>", ("1@e.example",)),
        ("<1@e.\r\n example>", ("1@e.example",)),
        ("< 1@e.example >", ("1@e.example",)),
        ("<1@e.example> <1@e.example>", ("1@e.example",)),
        ("<no-domain>", ("no-domain",)),
        ("1@e.example, 2@e.example", ("1@e.example", "2@e.example")),
        ("<1 @ local(comment) .e.example>", ("1@local.e.example",)),
        ("<" + "a" * 10_000 + "@e.example>", ()),
        ("b" * 10_000 + "@e.example", ()),
        ("<" + "a" * 10_000 + "@e.example> <1@e.example>", ("1@e.example",)),
        ("", ()),
        ("<>", ()),
    ],
)
def test_identifiers_are_found_and_normalised(raw: str, identifiers: tuple[str, ...]) -> None:
    message = parse(mail("hi", f"References: {raw}", f"In-Reply-To: {raw}", f"Message-ID: {raw}"))
    assert message.references == message.in_reply_to == message.message_ids == identifiers
    assert message.message_id == (identifiers[0] if identifiers else None)


def test_two_message_ids_are_both_told_and_a_defect() -> None:
    message = parse(mail("hi", "Message-ID: <1@e.example>", "Message-ID: <2@e.example>"))
    assert (message.message_id, message.message_ids) == ("1@e.example", ("1@e.example", "2@e.example"))
    assert DefectKind.DUPLICATE in defect_kinds(message)
