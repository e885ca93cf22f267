"""The From field: one address, read as every other program reads it, or none."""

import pytest

from ingest.model.author import AuthorFault
from ingest.parse import parse
from ingest.parse.mime.from_field import MAX_FROM_CHARACTERS, parse_from, parse_mailbox
from tests.support.complexity import ENDS_WITHIN_SECONDS


@pytest.mark.parametrize(
    ("value", "name", "address"),
    [
        ("Archer, Alice <alice@customer.example>", "Archer, Alice", "alice@customer.example"),
        ("=?iso-8859-1?Q?=C4rcher=2C_Alice?= <alice@customer.example>", "Ärcher, Alice", "alice@customer.example"),
        ('"john smith"@customer.example', "", '"john smith"@customer.example'),
        ('"alice"@customer.example', "", "alice@customer.example"),
        ('"agent@support.example"@customer.example', "", '"agent@support.example"@customer.example'),
        ("alice@customer.example (Alice (at work))", "Alice (at work)", "alice@customer.example"),
        ("Alice (work) <alice@customer.example>", "Alice (work)", "alice@customer.example"),
        ("Re: Alice <alice@customer.example>", "Re: Alice", "alice@customer.example"),
        ("Alice :) <alice@customer.example>", "Alice :)", "alice@customer.example"),
        ("Alice\r\n <alice@customer.example>", "Alice", "alice@customer.example"),
        ("<< alice@customer.example >>", "", "alice@customer.example"),
        ("Alice <alice@customer.example>, ", "Alice", "alice@customer.example"),
        ("alice@Customer.Example.", "", "alice@customer.example"),
        ("a..b.@docomo.example", "", "a..b.@docomo.example"),
        ("ali\u0301ce@bücher.example", "", "alíce@xn--bcher-kva.example"),
        ("alice@BÜCHER.example", "", "alice@xn--bcher-kva.example"),
        ("alice@straße.example", "", "alice@xn--strae-oqa.example"),
        ("alice@customer。example", "", "alice@customer.example"),
        ("alice@[192.0.2.1]", "", "alice@[192.0.2.1]"),
        ("mailing_list@sub_domain.example", "", "mailing_list@sub_domain.example"),
    ],
)
def test_one_mailbox_is_the_author(value: str, name: str, address: str) -> None:
    author, fault = parse_from((value,))
    assert fault is None
    assert author is not None
    assert (author.display_name, author.addr_spec) == (name, address)


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("", AuthorFault.NO_ADDRESS),
        ("<>", AuthorFault.NO_ADDRESS),
        ("=?UTF-8?b?SGVyemxpY2hlIEdyw7zDn2U=?= <HerzlicheGrüße>", AuthorFault.NO_ADDRESS),
        ("undisclosed-recipients:;", AuthorFault.NO_ADDRESS),
        ("Undisclosed: a@b.example;", AuthorFault.GROUP),
        ("Undisclosed: a@b.example", AuthorFault.GROUP),
        ("Team: Alice <a@b.example>;", AuthorFault.GROUP),
        ("a@a.example, b@b.example", AuthorFault.SEVERAL_AUTHORS),
        ("a@a.example b@b.example", AuthorFault.SEVERAL_AUTHORS),
        ("<a@a.example> <b@b.example>", AuthorFault.SEVERAL_AUTHORS),
        ("<a@a.example> b@b.example", AuthorFault.SEVERAL_AUTHORS),
        ("agent@support.example, Alice <a@a.example>", AuthorFault.SEVERAL_AUTHORS),
        ("a b@c>", AuthorFault.BROKEN_ADDRESS),
        ("alice@customer.example .evil.example", AuthorFault.BROKEN_ADDRESS),
        ("<alice smith@customer.example>", AuthorFault.BROKEN_ADDRESS),
        ("<@relay.example:alice@customer.example>", AuthorFault.BROKEN_ADDRESS),
        ("<agent@support.example@evil.example>", AuthorFault.BROKEN_ADDRESS),
        ("<agent@support.example, x@evil.example>", AuthorFault.BROKEN_ADDRESS),
        ("alice(x)@customer.example", AuthorFault.COMMENT_IN_ADDRESS),
        ("<agent@support.example(>@evil.example)", AuthorFault.COMMENT_IN_ADDRESS),
        ("=?utf-8?b?YWdlbnRAc3VwcG9ydC5leGFtcGxl?==?utf-8?Q?=00?=@evil.example", AuthorFault.ENCODED_ADDRESS),
        ("alice@customer.example\x00.evil.example", AuthorFault.HIDDEN_CHARACTER),
        ("<alice@cust\u200bomer.example>", AuthorFault.HIDDEN_CHARACTER),
        ("<\u202ealice@customer.example>", AuthorFault.HIDDEN_CHARACTER),
        ("alice@customer..example", AuthorFault.NO_DOMAIN),
        ("alice@-customer!.example", AuthorFault.NO_DOMAIN),
        ("alice@" + "x" * 300, AuthorFault.NO_DOMAIN),
        ("alice@" + "ü" * 300, AuthorFault.NO_DOMAIN),
        ("x" * 10_000 + "@customer.example", AuthorFault.BROKEN_ADDRESS),
    ],
)
def test_what_programs_could_read_as_another_address_names_nobody(value: str, fault: AuthorFault) -> None:
    assert parse_from((value,)) == (None, fault)
    assert parse_mailbox(value) is fault


def test_several_from_fields_with_one_address_are_one_author() -> None:
    author, _fault = parse_from(("Alice <alice@customer.example>", "alice@CUSTOMER.example"))
    assert author is not None
    assert author.addr_spec == "alice@customer.example"


def test_several_from_fields_with_different_addresses_are_several_authors() -> None:
    assert parse_from(("alice@customer.example", "agent@support.example")).fault is AuthorFault.SEVERAL_AUTHORS


def test_a_group_that_has_an_address_is_shown_but_is_no_author() -> None:
    message = parse(b"From: Undisclosed: alice@customer.example;\r\n\r\nhi")
    assert message.author_fault is AuthorFault.GROUP
    assert [address.addr_spec for address in message.from_] == ["alice@customer.example"]


@pytest.mark.timeout(ENDS_WITHIN_SECONDS)
@pytest.mark.no_cover
@pytest.mark.parametrize("sign", ["(", '"', '"\\', "<", ",", "()", ":;", "=?", "(\\", "a@b.example ", "=?utf-8?q?a?="])
def test_a_field_full_of_signs_is_read_soon(sign: str) -> None:
    value = (sign * MAX_FROM_CHARACTERS)[: MAX_FROM_CHARACTERS - 20] + "<a@b.example>"
    parse_from((value,))
