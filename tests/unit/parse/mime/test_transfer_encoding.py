"""Transfer encodings, under any name and with any fault."""

import pytest

from ingest.model.defects import DefectKind
from ingest.parse import parse
from tests.support.mime import defect_kinds, entity, mail


@pytest.mark.parametrize(
    ("name", "sent", "read"),
    [
        ("7-bit", "Hello", "Hello"),
        ("8bit;", "Hello", "Hello"),
        ("text/html", "Hello", "Hello"),
        ("x-nobody-knows", "Hello", "Hello"),
        ("Quoted Printable", "Gr=C3=B6=C3=9Fe", "Größe"),
        ("quoted-printable", "one= \r\n two=\r\n three", "one two three"),
        ("quoted-printable", "50 % =ZZ =", "50 % =ZZ "),
        ("BASE64", "R3LDtsOfZQ", "Größe"),
        ("base64", "R3LDtsOfZQ=\r\n=", "Größe"),
        ("base64", "R3LDts!OfZQ==", "Größe"),
        ("base64", "R3I=\r\nw7bDn2U=\r\n", "Größe"),
        ("base64", "R3LDtsOfZQ==\r\n_____\r\nlist footer here\r\n", "Größe\n_____\nlist footer here\n"),
        (
            "base64",
            "SGVsbG8gdGhlcmU=\r\n-- \r\nSee https://a.example/?b=1 here\r\n",
            "Hello there\n-- \nSee https://a.example/?b=1 here\n",
        ),
        ("base64", "SGVsbG8h\r\n" * 9 + "Sent with care by Us\r\n", "Hello!" * 9 + "\nSent with care by Us\n"),
        (
            "base64",
            "T0ssIHRoYW5rcyE=\r\n_____\r\nThe list of all who print\r\n",
            "OK, thanks!\n_____\nThe list of all who print\n",
        ),
        ("base64", "Test\r\n\r\nThis is no base64 at all.", "Test\n\nThis is no base64 at all."),
        ("base64", "SGVsbG8hSGVs bG8hSGVsbG8h\r\n" * 2, "Hello!" * 6),
        ("base64", "This is not base64 at all, it is text.", "This is not base64 at all, it is text."),
        ("x-uuencode", "begin 644 x\r\n%2&5L;&\\\r\n`\r\nend\r\n", "Hello"),
    ],
)
def test_a_transfer_encoding_is_undone_under_any_name_and_with_any_fault(name: str, sent: str, read: str) -> None:
    message = parse(mail(entity("text/plain; charset=utf-8", sent, f"Content-Transfer-Encoding: {name}")))
    assert message.text == read


def test_an_unknown_transfer_encoding_is_a_defect() -> None:
    assert DefectKind.ENCODING in defect_kinds(
        parse(mail(entity("text/plain", "Hello", "Content-Transfer-Encoding: x-rot")))
    )


@pytest.mark.parametrize(
    "fields",
    [
        ("Content-Transfer-Encoding: base64 (by a gateway)",),
        ("Content-Transfer-Encoding: 8bit", "Content-Transfer-Encoding: base64"),
        ("Content-Transfer-Encoding: base64", "Content-Transfer-Encoding: 8bit"),
    ],
    ids=["a comment", "the second field", "the first field"],
)
def test_the_transfer_encoding_that_means_something_counts(fields: tuple[str, ...]) -> None:
    assert (
        parse(mail(entity("text/plain; charset=utf-8", "R3LDvMOfZSBhdXMgQmVybGlu", *fields))).text == "Grüße aus Berlin"
    )
