"""Mails that were made to break a reader: each ends in a message, in time, with what could be read."""

import tracemalloc
from collections.abc import Callable
from dataclasses import fields, is_dataclass

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from mailparser import MailParser

from ingest.model.defects import DefectKind
from ingest.model.message import ParsedMessage
from ingest.parse import parse
from ingest.parse.limits import MAX_FIELDS, MAX_PARTS, MAX_TNEF_ATTRIBUTES, MAX_UUENCODED_FILES
from ingest.parse.mime import addresses
from tests.support.fixture_mails import load
from tests.support.mime import attachment, defect_kinds, entity, html, in_base64, mail, multipart, plain

MiB = 1024 * 1024


@pytest.mark.parametrize(
    "content",
    [
        mail("hi", b"To: =?utf-8?B?w?= <a@b.example>"),
        mail(
            b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        ),
        mail(b'Content-Type: message/rfc822\r\n\r\nContent-Type: multipart/mixed; boundary="a"\r\n\r\nhi'),
        mail(b"Content-Type: text/plain; charset*=\x00''\r\n\r\nhi"),
        mail(b"Content-Type: text/plain\r\nContent-Disposition: inline; filename*=utf-8''a; filename*0=b\r\n\r\nhi"),
        mail(
            multipart(
                "mixed",
                b"Content-Disposition: attachment\r\nContent-Type: text/plain; charset*=utf-8''utf-8\r\n\r\n\xff",
            )
        ),
        mail(
            multipart(
                "mixed", "Content-Disposition: attachment\r\nContent-Type: text/plain; charset=ü\r\n\r\n\xff".encode()
            )
        ),
        mail("hi", b"Date: Mon, 99 Foo 99999999999999999999 99:99:99 +99999999999999"),
        mail("hi", b"From: \xff\xfe\x00 <\xff@\xfe>", b"To: ,,,,;:;<>()", b'Cc: "', b"Reply-To: <a@b"),
        mail("hi", b"Parse: x", b"Headers_json: x", b"Defects: x", b"Body: x", b"Attachments: x"),
        mail(multipart("mixed", boundary="\\")),
        mail(entity("multipart/mixed; boundary=\xff", "--x--")),
    ],
    ids=[
        "base64 word of impossible length in an address",
        "cut off after an inner multipart's header",
        "message/rfc822 with a multipart that never starts",
        "NUL as the name of a charset",
        "filename in sections with and without a number",
        "charset in RFC 2231 form over 8-bit octets",
        "charset with a name beyond ASCII",
        "impossible date",
        "broken address fields",
        "fields named like the library's own attributes",
        "boundary that is an escape",
        "boundary beyond ASCII",
    ],
)
def test_what_kills_other_readers_is_read(content: bytes) -> None:
    message = parse(content)
    assert message.from_ or b"\xff\xfe" in content
    assert DefectKind.INTERNAL not in defect_kinds(message)


ATTACKS: dict[str, Callable[[], bytes]] = {
    "3,000 levels": lambda: _nested(3000),
    "3,000 levels of attachments": lambda: _nested(3000, "Content-Disposition: attachment\r\n"),
    "100,000 parts": lambda: mail(b"Content-Type: multipart/mixed; boundary=q\r\n\r\n" + b"--q\r\n\r\nx\r\n" * 100_000),
    "boundaries and nothing else": lambda: mail(
        b"Content-Type: multipart/mixed; boundary=q\r\n\r\n" + b"--q\r\n" * MiB
    ),
    "almost boundaries": lambda: _nested(49).replace(b"deep", b"--b0x\r\n" * 300_000),
    "parameters of semicolons": lambda: mail(b'Content-Type: text/plain; a="' + b";" * MiB + b'"\r\n\r\nhi'),
    "many parameters": lambda: mail(b"Content-Type: text/plain" + b"; a=b" * 64_000 + b"\r\n\r\nhi"),
    "costly parameters in every part": lambda: mail(
        multipart("mixed", *[b"Content-Type: text/plain" + b'; a=";;b' * 1500 + b"\r\n\r\nhi"] * 1000)
    ),
    "encoded words without end": lambda: mail("hi", b"Subject: " + b"=?a?q?" * 250_000),
    "20,000 recipients": lambda: mail("hi", b"To: " + b",\r\n ".join(b"user%d@b.example" % i for i in range(20_000))),
    "groups in groups": lambda: mail("hi", b"To: " + b"a:b;" * 256_000),
    "comments in comments": lambda: mail("hi", b"To: " + b"(" * 16_000, b"References: " + b"(" * 16_000),
    "1,000 costly From fields": lambda: mail("hi", *[b'From: "a\\" <a@b>, b@c (d'] * 1000),
    "a header of a megabyte": lambda: mail("hi", b"X-Long: " + b"x" * MiB),
    "100,000 fields": lambda: mail("hi", *[b"X-%d: y" % i for i in range(100_000)]),
    "a header of lines that are no fields": lambda: mail("hi", *[b"garbage"] * 100_000),
    "base64 in a million blocks": lambda: mail(
        entity("application/x-y", b"QQ==\r\n" * MiB, "Content-Transfer-Encoding: base64")
    ),
    "quoted-printable of spaces": lambda: mail(
        entity("text/plain", b"= " * MiB, "Content-Transfer-Encoding: quoted-printable")
    ),
    "a million tags": lambda: mail(html("<" * MiB)),
    "styles without end": lambda: mail(html("<style>" * 150_000)),
    "flowed lines": lambda: mail(entity("text/plain; format=flowed", "> a \r\n" * 150_000)),
    "uuencoded files without end": lambda: mail(plain("begin 644 x\n!!\n" * 70_000)),
    "10,000 uuencoded files": lambda: mail(plain("begin 644 x\n!!\nend\n" * 10_000)),
    "escapes": lambda: mail(entity("text/plain; charset=iso-2022-jp", b"\x1b$B-!\x1b(B" * 100_000)),
    "HZ that is opened and never closed": lambda: mail(entity("text/plain; charset=hz-gb-2312", b"~{ab" * 256_000)),
    "octets of no charset": lambda: mail(entity("text/plain", bytes(range(128, 256)) * 8000)),
    "UTF-8 with one bad octet in three": lambda: mail(entity("text/plain; charset=utf-8", b"\xc3\xa4\xe4" * 300_000)),
    "TNEF of 100,000 files": lambda: mail(
        entity(
            "application/ms-tnef",
            b"\x78\x9f\x3e\x22\x01\x00" + b"\x02\x02\x90\x06\x00\x00\x00\x00\x00\x00\x00" * 100_000,
        )
    ),
    "TNEF of a million properties": lambda: mail(
        entity(
            "application/ms-tnef",
            b"\x78\x9f\x3e\x22\x01\x00\x01\x03\x90\x06\x00\xff\xff\xff\x7f\xff\xff\xff\x7f"
            + b"\x03\x00\x01\x10\x00\x00\x00\x00" * MiB,
        )
    ),
    "ASN.1 without end": lambda: mail(entity("application/pkcs7-mime", b"\x30\x80" * MiB)),
    "calendar of 100,000 events": lambda: mail(entity("text/calendar", b"BEGIN:VEVENT\r\nEND:VEVENT\r\n" * 100_000)),
    "bounce of nothing but identifiers": lambda: mail(
        plain("Message-ID: <" * 80_000), "Subject: undeliverable", "From: <>"
    ),
    "NUL octets": lambda: bytes(8 * MiB),
}


def _nested(levels: int, field: str = "") -> bytes:
    opened = (f"Content-Type: multipart/mixed; boundary=b{i}\r\n{field}\r\n--b{i}\r\n" for i in range(levels))
    closed = (f"--b{i}--\r\n" for i in reversed(range(levels)))
    text = "Content-Type: text/plain\r\n\r\ndeep\r\n"
    return mail("".join((*opened, text, *closed)).encode())


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.timeout(20)
def test_a_resource_attack_is_read_in_bounded_time_and_size(name: str) -> None:
    """The time limit is far above what each takes (two seconds at most) and far below what a quadratic reader takes."""
    message = parse(ATTACKS[name]())
    assert DefectKind.INTERNAL not in defect_kinds(message)
    assert len(message.attachments) <= MAX_PARTS
    assert len(message.headers) <= MAX_FIELDS


def test_what_lies_too_deep_is_told_and_kept_as_a_file() -> None:
    content = _nested(60)
    message = parse(content)
    assert DefectKind.NESTED in defect_kinds(message)
    assert any(b"deep" in attachment(content, each.part_number) for each in message.attachments)


def test_uuencoded_files_beyond_the_limit_stay_in_the_text() -> None:
    files = "".join(f"begin 644 f{number}\n%=&]N97(\n`\nend\n" for number in range(MAX_UUENCODED_FILES + 2))
    message = parse(mail(plain(files)))
    assert len(message.attachments) == MAX_UUENCODED_FILES
    assert f"begin 644 f{MAX_UUENCODED_FILES}\n" in (message.text or "")
    assert f"begin 644 f{MAX_UUENCODED_FILES + 1}\n" in (message.text or "")


def test_a_tnef_of_more_than_is_read_stays_as_a_file_beside_what_was_taken_out() -> None:
    container = b"\x78\x9f\x3e\x22\x01\x00" + b"\x02\x02\x90\x06\x00\x00\x00\x00\x00\x00\x00" * (
        MAX_TNEF_ATTRIBUTES + 1
    )
    message = parse(mail(multipart("mixed", plain("hi"), in_base64("application/ms-tnef", container))))
    assert any(found.size == len(container) for found in message.attachments)


def test_nested_attachments_do_not_multiply_in_memory() -> None:
    content = _nested(49, "Content-Disposition: attachment\r\n").replace(b"deep", b"x" * (2 * MiB))
    tracemalloc.start()
    try:
        parse(content)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12 * len(content)


def test_a_fault_of_the_library_costs_its_fields_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_message: object) -> MailParser:
        raise TypeError("secret")

    monkeypatch.setattr(addresses, "MailParser", fail)
    message = parse(mail(plain("Hello"), "Date: Mon, 2 Nov 2026 10:00:00 +0100", "Subject: Toner"))
    assert (message.subject, message.text, message.date) == ("Toner", "Hello", "2026-11-02T10:00:00+01:00")
    assert [author.addr_spec for author in message.from_] == ["alice@customer.example"]
    assert DefectKind.INTERNAL in defect_kinds(message)
    assert "secret" not in "".join(map(str, message.defects))


@pytest.mark.parametrize("step", ["body.parse_body", "describe_attachments", "report_of", "_parse_calendars"])
def test_a_fault_of_ours_in_one_step_leaves_what_the_others_read(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(f"ingest.parse.assembly.{step}")
    message = parse(
        mail(multipart("mixed", plain("Hello"), in_base64("image/png", b"x")), "Subject: Toner", "Return-Path: <>")
    )
    assert (message.subject, message.from_[0].addr_spec) == ("Toner", "alice@customer.example")
    assert DefectKind.INTERNAL in defect_kinds(message)


def _is_sound(message: ParsedMessage, content: bytes) -> None:
    """What holds for every message, whatever it was made from."""
    assert DefectKind.INTERNAL not in defect_kinds(message)
    for text in _strings(message):
        assert "\0" not in text
        text.encode()  # no half of a surrogate pair
    for text in (message.subject, *(value for _, value in message.headers)):
        assert all(ord(character) >= 0x20 for character in text)
    for found in message.attachments:
        assert 0 < len(found.filename) <= 200
        assert "/" not in found.filename
        assert len(attachment(content, found.part_number)) == found.size


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, tuple):
        return [text for item in value for text in _strings(item)]
    if is_dataclass(value):
        return [text for field in fields(value) for text in _strings(getattr(value, field.name))]
    return []


@given(st.binary(max_size=2000))
@example(b"")
@example(b"\r\n")
@example(b"Content-Type: multipart/mixed; boundary=\r\n\r\n--\r\n--\r\n")
@settings(max_examples=300, deadline=None)
def test_no_octets_break_it(content: bytes) -> None:
    _is_sound(parse(content), content)


SEEDS = [mail.content for mail in load() if len(mail.content) < 20_000]
STRUCTURE = (
    b"\r\n",
    b"\n",
    b"\r",
    b"--",
    b"<",
    b">",
    b'"',
    b"(",
    b";",
    b":",
    b"\x00",
    b"\xff",
    b"\x1b$B",
    b"\xef\xbb\xbf",
)
WORDS = (
    b"=?utf-8?q?",
    b"?=",
    b"Content-Type: ",
    b"multipart/mixed; boundary=",
    b"message/rfc822",
    b"application/ms-tnef",
    b"base64",
    b"format=flowed",
    b"begin 644 x\n",
    b"filename*0*=",
    b"charset*=utf-8''",
    b"charset=undefined",
)


@st.composite
def mutated_mails(draw: st.DrawFn) -> bytes:
    """A fixture with a few wounds: cut, repeated, sprinkled with tokens, joined to another."""
    content = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        to = at + draw(st.integers(0, 200))
        put = draw(st.one_of(st.sampled_from(STRUCTURE + WORDS), st.just(content[at:to]), st.sampled_from(SEEDS)))
        content = content[:at] + put[:2000] + content[draw(st.sampled_from([at, to, len(content)])) :]
    return content


@given(mutated_mails())
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example])
def test_no_mutation_of_a_mail_breaks_it(content: bytes) -> None:
    _is_sound(parse(content), content)


def test_parts_beyond_the_limit_are_counted() -> None:
    parts = b"".join(b"--b\r\nContent-Type: application/zip\r\n\r\nx\r\n" for _ in range(10_000))
    message = parse(mail(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + parts + b"--b--\r\n"))
    assert message.unread_parts == 10_000 - (MAX_PARTS - 1)
    assert parse(mail(b"\r\nHello")).unread_parts == 0
