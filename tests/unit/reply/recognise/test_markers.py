"""Lines that ask to write above them."""

import pytest

from tests.support.replies import of_text


@pytest.mark.parametrize(
    ("line", "cut"),
    [
        ("##- Geef hier uw antwoord -##", True),
        ("--- Reply above this line ---", True),
        ("[Please type your reply above this line to add a comment to ticket 42]", True),
        ("Please reply above this line.", True),
        ("__________\nReply above this line.", True),
        ("I shall reply above this line.", False),
        ("Nobody can reply above this line, because there is none in what you sent.", False),
        ("I do as you say\nand reply above this line.", False),
    ],
)
def test_all_below_a_line_that_asks_to_write_above_it_is_cut(line: str, cut: bool) -> None:
    reply = of_text(f"Yes\n\n{line}\n\nold\n")
    assert reply.content == ("Yes" if cut else f"Yes\n\n{line}\n\nold")
