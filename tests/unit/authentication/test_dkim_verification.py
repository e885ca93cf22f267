"""DKIM: which signatures prove their domain."""

import base64
import re
import time
from collections.abc import Sequence

import dkim
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.authentication.dkim_verification import MAX_SIGNATURES, read_key_name, verify_signatures
from ingest.model.signatures import DkimKeyName, DkimSignature, DkimVerdict
from tests.support.complexity import ENDS_WITHIN_SECONDS
from tests.support.signing import CUSTOMER, SELECTOR, SigningKey, ed25519_key, rsa_key, signed

AUTHOR = b"Alice <alice@customer.example>"
MAIL = (
    b"From: " + AUTHOR + b"\r\nTo: help@mail.ravenna.example\r\nSubject: Re: the\r\n printer\r\n"
    b"Date: Mon, 05 Oct 2026 11:00:00 +0200\r\n\r\nIt  works \r\nnow.\r\n\r\n\r\n"
)
KEY_NAME = DkimKeyName(CUSTOMER, SELECTOR)


def verify(
    content: bytes,
    *records: str,
    author: bytes = AUTHOR,
    name: DkimKeyName = KEY_NAME,
    received_at: float | None = None,
) -> tuple[DkimSignature, ...]:
    at = time.time() if received_at is None else received_at
    return verify_signatures(content, {KEY_NAME: records or (rsa_key().record,)}, author_field=author, received_at=at)


def verdict(content: bytes, *records: str, author: bytes = AUTHOR, received_at: float | None = None) -> DkimVerdict:
    [signature] = verify(content, *records, author=author, received_at=received_at)
    return signature.verdict


def detail(content: bytes, *records: str) -> str:
    [signature] = verify(content, *records)
    assert signature.verdict is not DkimVerdict.PASS
    return signature.detail


@pytest.mark.parametrize("form", ["simple/simple", "simple/relaxed", "relaxed/simple", "relaxed/relaxed"])
@pytest.mark.parametrize("key", [rsa_key, ed25519_key], ids=["rsa", "ed25519"])
def test_a_good_signature_passes(form: str, key: object) -> None:
    made: SigningKey = key()  # type: ignore[operator]
    assert verdict(signed(MAIL, form=form, key=made), made.record) is DkimVerdict.PASS


@pytest.mark.parametrize(
    "content",
    [
        MAIL.replace(b"Subject: Re: the\r\n printer", b"Subject:   =?utf-8?q?caf=C3=A9?=\r\n\t  \r\n  and\ttabs  "),
        MAIL.replace(b"Re: the", "Größe: ein Café".encode()),
        MAIL.replace(b"Re: the", b"Gr\xf6\xdfe"),
        MAIL.replace(b"\r\n", b"\n"),
        MAIL.partition(b"It")[0],
        MAIL.replace(b"Subject:", b"X-Empty:\r\nsUbJeCt:"),
        MAIL + b"caf\xe9 \xff\x00 and bare \r returns",
    ],
    ids=["folded", "utf-8", "8-bit", "line feeds", "no body", "odd names", "bytes"],
)
@pytest.mark.parametrize("form", ["simple/simple", "relaxed/relaxed"])
def test_we_and_dkimpy_agree_on_what_people_send(content: bytes, form: str) -> None:
    mail = signed(content, form=form)
    record = rsa_key().record.encode()
    assert dkim.verify(mail, dnsfunc=lambda _name, timeout=5: record)
    assert verdict(mail) is DkimVerdict.PASS


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"It  works", b"It fails"),
        (b"now.", b"now.\r\nSend money."),
        (b"Subject: Re:", b"Subject: Fwd:"),
        (b"To: help", b"To: other"),
    ],
)
def test_a_changed_mail_is_broken(old: bytes, new: bytes) -> None:
    assert verdict(signed(MAIL).replace(old, new)) is DkimVerdict.BROKEN


def test_a_signature_by_another_key_is_broken() -> None:
    assert verdict(signed(MAIL), rsa_key(1024).record) is DkimVerdict.BROKEN


@pytest.mark.parametrize("records", [[], [""], ["v=spf1 -all"], ["v=DKIM1; p="], ["v=DKIM2; p=AAAA"], ["p=AAAA"]])
def test_without_a_key_nothing_is_proven(records: Sequence[str]) -> None:
    assert (
        verify_signatures(signed(MAIL), {KEY_NAME: records}, author_field=AUTHOR, received_at=time.time())[0].verdict
        is DkimVerdict.NO_KEY
    )


def test_of_two_keys_by_one_name_none_is_believed() -> None:
    assert "several keys" in detail(signed(MAIL), rsa_key().record, rsa_key(1024).record)


def test_a_record_beside_the_key_does_not_matter() -> None:
    assert verdict(signed(MAIL), "some text", rsa_key().record) is DkimVerdict.PASS


@pytest.mark.parametrize(
    ("tag", "why"),
    [
        ("t=y", "testing"),
        ("t=s:y", "testing"),
        ("h=sha1", "sha256"),
        ("s=tlsrpt", "not for mail"),
        ("k=ed25519", "another type"),
    ],
)
def test_a_key_that_says_it_is_not_for_this_proves_nothing(tag: str, why: str) -> None:
    record = rsa_key().record.replace("k=rsa", tag)
    assert why in detail(signed(MAIL), record)


@pytest.mark.parametrize("tag", ["k=rsa", "h=sha1:sha256", "s=email", "s=*", "t=s", "n=a note", "g=*"])
def test_a_key_that_is_for_this_is_believed(tag: str) -> None:
    assert verdict(signed(MAIL), rsa_key().record.replace("k=rsa", tag)) is DkimVerdict.PASS


def test_a_key_for_the_domain_alone_does_not_speak_for_a_subdomain() -> None:
    mail = signed(MAIL, identity="@mail.customer.example")
    assert verdict(mail) is DkimVerdict.PASS
    assert "subdomains" in detail(mail, rsa_key().record.replace("k=rsa", "t=s"))


def test_sha1_proves_nothing() -> None:
    assert "algorithm" in detail(signed(MAIL, algorithm=b"rsa-sha1"))


def test_a_key_below_1024_bits_proves_nothing() -> None:
    assert "1024 to 4096" in detail(signed(MAIL), _record_of_bits(1016))


@pytest.mark.timeout(ENDS_WITHIN_SECONDS)
@pytest.mark.no_cover
@pytest.mark.parametrize("bits", [4104, 8192, 12_000, 32_768])
def test_a_key_above_4096_bits_proves_nothing_and_takes_no_time(bits: int) -> None:
    assert re.search("4096|2048", detail(signed(MAIL), _record_of_bits(bits)))


@pytest.mark.timeout(ENDS_WITHIN_SECONDS)
@pytest.mark.no_cover
@pytest.mark.parametrize("exponent", [1, 2, 4, (1 << 4000) + 1], ids=["1", "2", "4", "4001 bits"])
def test_a_key_with_an_odd_exponent_proves_nothing_and_takes_no_time(exponent: int) -> None:
    assert detail(signed(MAIL), _record_of_bits(2048, exponent))


def test_text_below_what_was_signed_is_no_proof() -> None:
    mail = signed(MAIL, length=True)
    assert verdict(mail) is DkimVerdict.PASS
    assert "l=" in detail(mail + b"Send money.\r\n")


def test_a_signature_that_leaves_the_author_out_proves_nothing() -> None:
    mail = signed(MAIL).replace(b"h=from", b"h=x-from").replace(b"from :", b"x :").replace(b": from", b": x")
    assert "does not sign From" in detail(mail)


@pytest.mark.parametrize("second", [b"From: Agent <agent@ours.example>\r\n", b"from: x@y.example\r\n"])
def test_a_second_author_makes_every_signature_void(second: bytes) -> None:
    mail = signed(MAIL, fields=["from", "subject"])
    assert verdict(second + mail, author=AUTHOR) is DkimVerdict.NO_PROOF
    assert verdict(second + mail, author=second.partition(b": ")[2].strip()) is DkimVerdict.NO_PROOF


def test_an_author_that_the_parser_reads_otherwise_makes_every_signature_void() -> None:
    assert verdict(signed(MAIL), author=b"agent@ours.example") is DkimVerdict.NO_PROOF


@pytest.mark.parametrize("field", [b"Subject: Another\r\n", b"To: x@y.example\r\n", b"Date: today\r\n"])
def test_a_second_field_that_people_may_see_breaks_the_signature(field: bytes) -> None:
    assert verdict(field + signed(MAIL)) is DkimVerdict.BROKEN


def test_a_signature_is_judged_by_the_time_of_receipt() -> None:
    mail = signed(MAIL)
    made_at = int(re.search(rb"t=(\d+)", mail)[1])  # type: ignore[index]
    assert verdict(mail, received_at=made_at + 10 * 365 * 86400) is DkimVerdict.PASS
    assert "future" in verify(mail, received_at=made_at - 86400)[0].detail


def test_an_expired_signature_proves_nothing() -> None:
    mail = signed(MAIL).replace(b"t=", b"x=1; t=", 1)
    assert "expired" in detail(mail)


def test_five_signatures_at_most_are_verified() -> None:
    mail = MAIL
    for _ in range(MAX_SIGNATURES + 3):
        mail = signed(mail, fields=["from"])
    assert [one.verdict for one in verify(mail)] == [DkimVerdict.PASS] * MAX_SIGNATURES


@pytest.mark.timeout(ENDS_WITHIN_SECONDS)
@pytest.mark.no_cover
def test_a_thousand_signatures_cost_little() -> None:
    mail = signed(MAIL)
    signature = mail[: -len(MAIL)]
    assert len(verify(signature * 1000 + MAIL)) == MAX_SIGNATURES


@pytest.mark.timeout(ENDS_WITHIN_SECONDS)
@pytest.mark.no_cover
@pytest.mark.parametrize(
    "value",
    [
        b" v=1; a=rsa-sha256; d=customer.example; s=s1; h=from; bh=AAAA; b" + b"\r\n " * 2500,
        b" v=1; a=rsa-sha256; d=customer.example; s=s1; h=from; bh=AAAA; b=" + b"A \r\n " * 1500,
        b" v=1; a=rsa-sha256; d=customer.example; s=s1; bh=AAAA; b=AAAA; h=from" + b":x" * 3900,
        b" v=1; a=rsa-sha256; d=customer.example; s=s1; h=from; b=AAAA; bh=AAAA; z=" + b"x" * 200_000,
        b" " + b";" * 8000,
        b" \x00=\x00; d=customer.example; s=s1",
        b" v=1; d=; s=; h=; b=; bh=; a=",
        b"",
    ],
)
def test_a_signature_made_to_hang_us_ends_soon(value: bytes) -> None:
    found = verify((b"DKIM-Signature:" + value + b"\r\n") * 5 + MAIL)
    assert DkimVerdict.PASS not in [one.verdict for one in found]


@pytest.mark.parametrize("header", [b"\x00X: y\r\n", b"X\x00: y\r\n", b"no field\r\n", b"From : b@c.example\r\n"])
def test_a_header_that_is_not_well_formed_proves_nothing(header: bytes) -> None:
    assert verdict(header + signed(MAIL)) is DkimVerdict.NO_PROOF


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (b"v=1; d=Customer.Example.; s=S1", DkimKeyName("customer.example", "s1")),
        (b"v=1; d=customer.example;\r\n\ts=2026._x", DkimKeyName("customer.example", "2026._x")),
        (b"v=1; d=customer.example", None),
        (b"v=1; d=cust*omer.example; s=s1", None),
        (b"v=1; d=customer.example; s=s1; s=s2", None),
        (b"v=1; d=" + b"a." * 200 + b"example; s=s1", None),
        (b"v=1; d=b\xc3\xbccher.example; s=s1", None),
        (b"garbage", None),
    ],
)
def test_a_signature_names_its_key(value: bytes, name: DkimKeyName | None) -> None:
    assert read_key_name(value) == name


def _record_of_bits(bits: int, exponent: int = 65537) -> str:
    """A record with a number of so many bits for a key; nobody has the other half of it."""
    key = _der(0x30, _der_number((1 << (bits - 1)) + 1) + _der_number(exponent))
    return f"v=DKIM1; k=rsa; p={base64.b64encode(key).decode()}"


def _der_number(number: int) -> bytes:
    return _der(0x02, number.to_bytes(number.bit_length() // 8 + 1))


def _der(tag: int, content: bytes) -> bytes:
    size = len(content).to_bytes(4)
    return bytes([tag, 0x84]) + size + content


SIGNED = signed(MAIL)
LETTERS = st.characters(max_codepoint=0x1FF)


@given(st.lists(st.tuples(st.integers(0, len(SIGNED) - 1), st.binary(max_size=4)), min_size=1, max_size=6))
def test_no_change_of_a_mail_makes_the_verification_raise(changes: list[tuple[int, bytes]]) -> None:
    content = bytearray(SIGNED)
    for at, put in changes:
        content[at : at + 2] = put
    verify(bytes(content))


@given(st.text(LETTERS, max_size=200), st.text(LETTERS, max_size=50))
def test_no_key_record_makes_the_verification_raise(text: str, tail: str) -> None:
    verify(SIGNED, text)
    verify(SIGNED, f"v=DKIM1; {text}; p={tail}")
    verify(SIGNED, rsa_key().record[: -len(tail) - 1] + tail)
