"""Address fields and dates."""

import pytest

from ingest.model.defects import DefectKind
from ingest.parse import parse
from tests.support.mime import FROM_ALICE, defect_kinds, mail


@pytest.mark.parametrize(
    ("raw", "name", "addr_spec"),
    [
        (b"=?utf-8?B?w?= <a@b.example>", "", "a@b.example"),
        (b"=?utf-\xb8?B?w?= <a@b.example>", "", "a@b.example"),
        (b"=?" + b"x" * 200 + b"?B?w?= <a@b.example>", "", "a@b.example"),
        (b"=?utf-8?q?Erik_M=C3=BCller?= <erik@Kunde.Example>", "Erik Müller", "erik@kunde.example"),
        (b'"=?utf-8?q?M=C3=BCller=2C_Erik?=" <erik@kunde.example>', "Müller, Erik", "erik@kunde.example"),
        (b"=?gb2312?b?1cXI/Q==?= <zhang@kehu.example>", "张三", "zhang@kehu.example"),
        (b"=?iso-2022-jp?B?GyRCLSEbKEI=?= <ichi@okyaku.example>", "①", "ichi@okyaku.example"),
        (b"Erik M\xfcller <erik@kunde.example>", "Erik Müller", "erik@kunde.example"),
        (b'"Archer, Alice" <alice@customer.example>', "Archer, Alice", "alice@customer.example"),
        (b"alice@customer.example (Alice)", "Alice", "alice@customer.example"),
        (b"Alice <Alice.B@CUSTOMER.example>", "Alice", "Alice.B@customer.example"),
        (b"alice@real.example <mallory@evil.example>", "alice@real.example", "mallory@evil.example"),
        (b"Alice <alice@customer.example", "Alice", "alice@customer.example"),
        (b"Alice alice@customer.example", "", "alice@customer.example"),
        (b'"Alice <alice@customer.example>', "Alice", "alice@customer.example"),
        (b'"alice@customer.example"', "", "alice@customer.example"),
        (b"Alice <<alice@customer.example>>", "Alice", "alice@customer.example"),
        (b"Alice <mailto:alice@customer.example>", "Alice", "alice@customer.example"),
        (b"Alice <alice@customer.example.>", "Alice", "alice@customer.example"),
        (b"Alice=?utf-8?q?_A <alice@customer.example>", "Alice A", "alice@customer.example"),
        (b'"Alice\x1b[2J" <alice@customer.example>', "Alice[2J", "alice@customer.example"),
    ],
)
def test_a_sender_is_read_whatever_was_done_to_it(raw: bytes, name: str, addr_spec: str) -> None:
    message = parse(b"From: " + raw + b"\r\n\r\nhi")
    assert [(author.display_name, author.addr_spec) for author in message.from_] == [(name, addr_spec)]
    assert DefectKind.INTERNAL not in defect_kinds(message)


def test_all_from_fields_count_and_several_are_a_defect() -> None:
    message = parse(FROM_ALICE + b"\r\nFrom: sam@support.example\r\n\r\nhi")
    assert [author.addr_spec for author in message.from_] == ["alice@customer.example", "sam@support.example"]
    assert DefectKind.DUPLICATE in defect_kinds(message)


def test_an_address_that_breaks_the_rules_is_a_defect() -> None:
    assert DefectKind.ADDRESS in defect_kinds(parse(b"From: Alice <alice@customer.example\r\n\r\nhi"))


def test_recipients_are_read_from_lists_and_groups() -> None:
    fields = (b"To: Friends: bob@b.example, =?utf-8?q?Z=C3=B6e?= <zoe@z.example>;", b"Cc: undisclosed-recipients:;")
    message = parse(mail("hi", *fields))
    assert [to.addr_spec for to in message.to] == ["bob@b.example", "zoe@z.example"]
    assert message.cc == ()


@pytest.mark.parametrize(
    "field",
    [
        "Ann <ann@a.example>; bob@b.example",
        "ann@a.example; bob@b.example;",
        '"Archer; Ann" <ann@a.example>; "B;" <bob@b.example>',
    ],
)
def test_addresses_may_be_parted_by_semicolons(field: str) -> None:
    assert [to.addr_spec for to in parse(mail("hi", f"To: {field}")).to] == ["ann@a.example", "bob@b.example"]


@pytest.mark.parametrize(
    ("raw", "date"),
    [
        ("Mon, 2 Nov 2026 10:00:00 +0100", "2026-11-02T10:00:00+01:00"),
        ("2 Nov 26 10:00 GMT", "2026-11-02T10:00:00+00:00"),
        ("Mon, 2 Nov 2026 10:00:00 -0330 (NST)", "2026-11-02T10:00:00-03:30"),
        ("Mon, 02-Nov-2026 10:00:00 +0100", "2026-11-02T10:00:00+01:00"),
        ("2026-11-02T10:00:00+01:00", "2026-11-02T10:00:00+01:00"),
        ("yesterday", None),
        ("Mon, 32 Foo 99999 99:99:99 +9999", None),
    ],
)
def test_dates_are_told_with_their_offset(raw: str, date: str | None) -> None:
    message = parse(mail("hi", f"Date: {raw}"))
    assert message.date == date
    assert (DefectKind.DATE in defect_kinds(message)) == (date is None or "-Nov-" in raw or "T" in raw[:11])
