"""The header: fields, their text, addresses, identifiers, the date."""

import pytest

from ingest.model.defects import DefectKind
from ingest.model.message import Address
from ingest.parse import parse
from ingest.parse.limits import MAX_FIELD_OCTETS
from tests.support.mime import FROM_ALICE, defect_kinds, mail

ALICE = Address(display_name="Alice Archer", addr_spec="alice@customer.example")
TRACE = b"Received: from a by b; Mon, 2 Nov 2026 10:00:00 +0100\r\n"
REST = FROM_ALICE + b"\r\nSubject: Toner\r\nTo: help@mail.example\r\n\r\nHello\r\n"


@pytest.mark.parametrize(
    ("content", "defect"),
    [
        (b"\xef\xbb\xbf" + REST, "byte order mark"),
        (TRACE + b"\xef\xbb\xbf" + REST, "byte order mark"),
        (b"From alice Mon Nov  2 10:00:00 2026\r\n" + REST, "mbox From"),
        (TRACE + b"From alice Mon Nov  2 10:00:00 2026\r\n" + REST, "mbox From"),
        (b">From alice Mon Nov  2 10:00:00 2026\r\n" + REST, "mbox From"),
        (b"\r\n\r\n" + REST, "white space"),
        (TRACE + b"\r\n" + REST, "blank line"),
        (b"X-Spam: no\r\nthis is no field\r\n" + REST, "no field stands"),
        (b" a line that continues nothing\r\n" + REST, "no field stands"),
    ],
    ids=[
        "byte order mark",
        "byte order mark below a trace field",
        "mbox From line",
        "mbox From line below a trace field",
        "quoted mbox From line",
        "blank lines on top",
        "blank line below the trace field",
        "line without a colon",
        "continuation of nothing",
    ],
)
def test_what_stands_before_or_among_the_fields_costs_no_field(content: bytes, defect: str) -> None:
    message = parse(content)
    assert (message.subject, message.from_, message.text) == ("Toner", (ALICE,), "Hello\n")
    assert any(defect in str(each) for each in message.defects)


def test_a_space_before_the_colon_does_not_end_the_header() -> None:
    message = parse(b"Subject : Toner\r\n" + FROM_ALICE + b"\r\n\r\nHello")
    assert (message.subject, message.from_, message.text) == ("Toner", (ALICE,), "Hello")


def test_a_body_without_the_blank_line_before_it_is_kept() -> None:
    message = parse(FROM_ALICE + b"\r\nHello Sam,\r\n\r\nthe toner is empty.\r\n")
    assert message.text == "Hello Sam,\n\nthe toner is empty.\n"
    assert DefectKind.HEADER in defect_kinds(message)


@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r"], ids=["CRLF", "LF", "CR"])
@pytest.mark.parametrize("trace", [b"", TRACE], ids=["alone", "below our trace field"])
def test_any_line_end_will_do(end: bytes, trace: bytes) -> None:
    message = parse(trace + REST.replace(b"\r\n", end))
    assert (message.subject, message.from_, message.text) == ("Toner", (ALICE,), "Hello\n")


@pytest.mark.parametrize("content", [b"", b"\r\n\r\n", b"  \n", TRACE, TRACE + b"\r\n \r\n"])
def test_nothing_to_read_is_called_empty(content: bytes) -> None:
    assert defect_kinds(parse(content)) == {DefectKind.EMPTY}


@pytest.mark.parametrize(
    "junk", [b"\x00\x01\x02\xff" * 50, b"just a line of text", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n"]
)
@pytest.mark.parametrize("trace", [b"", TRACE], ids=["alone", "below our trace field"])
def test_octets_that_are_no_mail_are_called_so(junk: bytes, trace: bytes) -> None:
    assert DefectKind.NOT_MAIL in defect_kinds(parse(trace + junk))


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"Gr\xc3\xb6\xc3\x9fe", "Größe"),
        (b"Gr\xf6\xdfe", "Größe"),
        (b"=?utf-8?q?Gr=C3=B6=C3=9Fe?=", "Größe"),
        (b"=?utf-8?b?R3I=?= =?utf-8?b?w7bDn2U=?=", "Größe"),
        (b"=?utf-8?q?Gr=C3?=\r\n =?utf-8?q?=B6=C3=9Fe?=", "Größe"),
        (b"=?gb2312?b?6pDmZ7v5?=", "陳鎔基"),
        (b"=?iso-2022-jp?B?GyRCLSEtIhsoQg==?=", "①②"),
        (b"=?iso-8859-1?q?=93quoted=94?=", "“quoted”"),
        (b"=?utf-8?q?with space?=", "with space"),
        (b"before=?utf-8?q?=C3=A4?=after", "beforeäafter"),
        (b"=?utf-8?b?R3LDtsOfZQ?=", "Größe"),
        (b"=?utf-8?b?R?=", ""),
        (b"=?x-nobody-knows?q?abc?=", "abc"),
        (b"=?utf-8*de?q?Gr=C3=B6=C3=9Fe?=", "Größe"),
        (b"=?utf-8?q?a=0D=0ABcc:_x@y.example?=", "a Bcc: x@y.example"),
        (b"a\x1b[31mb\x07\x00c", "a[31mbc"),
        (b"one\r\n two\r\n\tthree", "one two three"),
        (b"\x1b$BF|K\\8l\x1b(B", "日本語"),
        (b"=?broken?q?", "=?broken?q?"),
        (b"=?utf-8?q?Gr=C3=BC=C3=9Fe\r\n aus Rom?=", "Grüße aus Rom"),
        (b"=?utf-8?b?R3LDvA==w59l?=", "Grüße"),
        (b"Re: =?utf-8?b?R3LDvMOfZQ", "Re: Grüße"),
        (b"=?utf-8?q?Gr=C3=BC=C3=9Fe_aus_R", "Grüße aus R"),
        (b"=??q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
        (b"=? utf-8 ?q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
        (b"=?utf-8?q?is how a word begins", "=?utf-8?q?is how a word begins"),
    ],
)
def test_a_subject_is_read_on_one_line_whatever_was_done_to_it(raw: bytes, text: str) -> None:
    assert parse(mail("hi", b"Subject: " + raw)).subject == text


def test_a_raw_subject_is_read_in_the_charset_of_the_body() -> None:
    content = mail(
        b"Content-Type: text/plain; charset=koi8-r\r\n\r\n" + "Привет".encode("koi8-r"),
        b"Subject: " + "Да".encode("koi8-r"),
    )
    assert parse(content).subject == "Да"


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


def test_delivery_fields_name_each_recipient_once_the_topmost_first() -> None:
    message = parse(
        mail("hi", "X-Original-To: help@m.example", "Delivered-To: <box@M.example>", "Delivered-To: help@m.example")
    )
    assert message.delivered_to == ("help@m.example", "box@m.example")


@pytest.mark.parametrize(("field", "path"), [("<>", ""), ("<bob@b.example>", "bob@b.example")])
def test_the_return_path_tells_the_null_path_from_an_address(field: str, path: str) -> None:
    assert parse(mail("hi", f"Return-Path: {field}")).return_path == path
    assert parse(mail("hi")).return_path is None


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


def test_a_field_over_the_limit_is_cut_and_references_keep_their_end() -> None:
    newest = b"<newest@e.example>"
    filler = b" <%d@e.example>"
    references = b"".join(filler % number for number in range(2000)) + b"\r\n " + newest
    message = parse(mail("hi", b"References:" + references, b"Subject: " + b"x" * 20_000))
    assert message.references[-1] == "newest@e.example"
    assert len(message.subject) < MAX_FIELD_OCTETS
    assert DefectKind.CUT in defect_kinds(message)


def test_headers_are_told_in_order_with_lower_case_names_and_received_fields_are_counted() -> None:
    message = parse(TRACE + TRACE + b"X-Two: 2\r\n" + REST)
    assert [name for name, _ in message.headers] == ["received", "received", "x-two", "from", "subject", "to"]
    assert message.received_count == 2
