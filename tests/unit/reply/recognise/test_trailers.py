"""Signatures, device lines and footers at the end of a text."""

import pytest

from tests.support.replies import assert_lossless, kinds, of_text


def test_a_signature_with_the_space_of_rfc_3676_is_surer_than_one_without() -> None:
    assert of_text("Hi\n-- \nA\n").confidence > of_text("Hi\n--\nA\n").confidence


def test_two_dashes_above_a_long_text_are_no_signature() -> None:
    body = "Part one\n--\n" + "A line of the second part of a long text.\n" * 40
    assert of_text(body).elided == ""


@pytest.mark.parametrize(
    ("below", "cut"),
    [
        ("A B\nHead of Sales\nCustomer Ltd.", True),
        ("A B\nKundin GmbH, Sp. z o.o.", True),
        ("the upper tray works.", False),
        ("Which one is it?", False),
        ("直りません。", False),
    ],
)
def test_dashes_without_the_space_are_no_signature_above_a_sentence(below: str, cut: bool) -> None:
    assert (of_text(f"The lower tray jams.\n--\n{below}\n").elided != "") is cut
    assert of_text(f"The lower tray jams.\n-- \n{below}\n").elided


@pytest.mark.parametrize(
    "postscript", ["PS: and the scanner", "P.S. and the scanner", "追伸 スキャナーも", "P. D. el escáner"]
)
def test_a_postscript_below_a_signature_is_new(postscript: str) -> None:
    reply = of_text(f"Yes\n-- \nA B\n\n{postscript}\n\nSent from my iPhone\n")
    assert reply.content == f"Yes\n{postscript}"
    assert kinds(reply) == ["new", "signature", "new", "device-line"]
    assert_lossless(reply)
