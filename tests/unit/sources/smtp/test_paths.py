"""The paths of MAIL and RCPT: every text is a path or a PathError, and only ours are ours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.sources.smtp.paths import MAX_PATH_CHARACTERS, NULL_PATH, PathError, parse_path, refuse_recipient


@pytest.mark.parametrize(
    ("argument", "mailbox", "parameters"),
    [
        ("<alice@customer.example>", "alice@customer.example", ""),
        ("<alice@customer.example> SIZE=1 BODY=8BITMIME", "alice@customer.example", " SIZE=1 BODY=8BITMIME"),
        ("<>", NULL_PATH, ""),
        ("<> SIZE=10", NULL_PATH, " SIZE=10"),
        ("<postmaster>", "postmaster", ""),
        ("<POSTMASTER>", "POSTMASTER", ""),
        ("<@one.example,@two.example:alice@customer.example>", "alice@customer.example", ""),
        ('<"alice example"@customer.example>', '"alice example"@customer.example', ""),
        (r'<"a\"b>c"@customer.example>', r'"a\"b>c"@customer.example', ""),
        ("<alice@[192.0.2.7]>", "alice@[192.0.2.7]", ""),
        ("<alice@[IPv6:2001:db8::7]>", "alice@[IPv6:2001:db8::7]", ""),
        ("<jürgen@müller.example>", "jürgen@müller.example", ""),
        ("<a..b.@docomo.example>", "a..b.@docomo.example", ""),
        ("<a=b!x#y$z%{w}|v~u/t?s*'`^&@list.example>", "a=b!x#y$z%{w}|v~u/t?s*'`^&@list.example", ""),
    ],
)  # fmt: skip
def test_a_path_is_read(argument: str, mailbox: str, parameters: str) -> None:
    assert parse_path(argument) == (mailbox, parameters)


@pytest.mark.parametrize(
    "argument",
    [
        "", "<", "<@", '"', "<a@[\t", "alice@customer.example", "<alice@customer.example", "<alice>", "<@b.example>",
        "<a b@c.example>", "<a@b@c.example>", "<a@b.example>x", "<a@b.example\r\n>", "<a\x00@b.example>",
        "<a@b.example> \t",
        "<a@b.example> SIZE=²", "<\udcff@b.example>", "<a@-b.example>", "<a@b.example,c@d.example>", "<postmaster@>",
        "<" + "a" * MAX_PATH_CHARACTERS + "@b.example>", "<a\u2028b@c.example>", "<a@b.example> X=\x1b[2J",
    ],
)  # fmt: skip
def test_what_is_no_path_is_said_to_be_none(argument: str) -> None:
    with pytest.raises(PathError):
        parse_path(argument)


ODD_TEXT = st.text(alphabet='<>@"\\[]: .,abü\x00\r\n\t\udcff', max_size=60)
ODD_OCTETS = st.binary(max_size=60).map(lambda octets: octets.decode("utf-8", "surrogateescape"))


@given(st.one_of(st.text(max_size=60), ODD_TEXT, ODD_OCTETS))
def test_anything_is_a_path_or_a_path_error(argument: str) -> None:
    try:
        mailbox, parameters = parse_path(argument)
    except PathError:
        return
    assert mailbox.isprintable()
    assert parameters.isascii()
    assert parameters.isprintable()


@pytest.mark.parametrize(
    "attack", ['<"' + "\\" * 900, "<" + "a." * 450 + "@", "<@a" + ",@a" * 300, "<a@b> " + "x " * 900]
)
def test_a_hostile_path_takes_no_time(attack: str) -> None:
    with pytest.raises(PathError):
        parse_path(attack + "\x00")


@pytest.mark.parametrize(
    ("mailbox", "code"),
    [
        ("help@ours.example", None),
        ("HELP+detail@OURS.example", None),
        ("help@ours.example.", None),
        (r'"he\lp"@ours.example', None),
        ("PostMaster@ours.example", None),
        ("postmaster", None),
        ("other@ours.example", "550 5.1.1"),
        ("help@theirs.example", "550 5.7.1"),
        ("postmaster@theirs.example", "550 5.7.1"),
        ('"help@ours.example"@theirs.example', "550 5.7.1"),
        ("+help@ours.example", "550 5.1.1"),
        ("+@ours.example", "550 5.1.1"),
    ],
)
def test_a_recipient_is_ours_by_domain_and_local_part(mailbox: str, code: str | None) -> None:
    refusal = refuse_recipient(mailbox, ("ours.example",), ("help",))
    assert (refusal and refusal[:9]) == code


def test_a_star_stands_for_every_local_part_of_our_domains() -> None:
    assert refuse_recipient("anything@ours.example", ("ours.example",), ("*",)) is None
    assert refuse_recipient("anything@theirs.example", ("ours.example",), ("*",)) is not None
