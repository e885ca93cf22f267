"""S/MIME containers: opened, encrypted, damaged."""

import zlib

import pytest

from ingest.model.defects import DefectKind
from ingest.parse import parse
from tests.support.mime import attachment, defect_kinds, in_base64, mail, multipart, only, plain

SIGNED, ENVELOPED = "2a864886f70d010702", "2a864886f70d010703"
COMPRESSED, DATA = "2a864886f70d0109100109", "2a864886f70d010701"
TEXT = b"Content-Type: text/plain; charset=utf-8\r\n\r\nSigned and readable.\r\n"


def der(tag: int, *contents: bytes) -> bytes:
    """An element of ASN.1 with a definite length."""
    body = b"".join(contents)
    if len(body) < 128:
        return bytes((tag, len(body))) + body
    length = len(body).to_bytes(4, "big").lstrip(b"\0")
    return bytes((tag, 0x80 | len(length))) + length + body


def ber(tag: int, *contents: bytes) -> bytes:
    """An element with an indefinite length, as streaming writers make it."""
    return bytes((tag, 0x80)) + b"".join(contents) + b"\0\0"


def oid(identifier: str) -> bytes:
    return der(6, bytes.fromhex(identifier))


def signed_data(content: bytes) -> bytes:
    info = der(0x30, oid(DATA), der(0xA0, der(4, content)))
    return der(0x30, oid(SIGNED), der(0xA0, der(0x30, der(2, b"\1"), der(0x31), info, der(0x31))))


def signed_data_in_chunks(content: bytes) -> bytes:
    chunks = (der(4, content[i : i + 10]) for i in range(0, len(content), 10))
    info = ber(0x30, oid(DATA), ber(0xA0, ber(0x24, *chunks)))
    return ber(0x30, oid(SIGNED), ber(0xA0, ber(0x30, der(2, b"\1"), der(0x31), info, der(0x31))))


def compressed_data(content: bytes) -> bytes:
    info = der(0x30, oid(DATA), der(0xA0, der(4, zlib.compress(content))))
    return der(0x30, oid(COMPRESSED), der(0xA0, der(0x30, der(2, b"\0"), der(0x30, oid(COMPRESSED)), info)))


def smime(octets: bytes, content_type: str = "application/pkcs7-mime; smime-type=signed-data") -> bytes:
    return mail(in_base64(content_type, octets, 'Content-Disposition: attachment; filename="smime.p7m"'))


@pytest.mark.parametrize(
    "wrap", [signed_data, signed_data_in_chunks, compressed_data], ids=["DER", "BER", "compressed"]
)
@pytest.mark.parametrize(
    "content_type", ["application/pkcs7-mime", "application/x-pkcs7-mime", "application/octet-stream"]
)
def test_opaque_smime_is_opened_without_checking_it(wrap: object, content_type: str) -> None:
    assert callable(wrap)
    message = parse(smime(wrap(TEXT), content_type))
    assert (message.text, message.attachments, message.defects) == ("Signed and readable.\n", (), ())


def test_files_inside_opaque_smime_have_numbers_of_their_own() -> None:
    inner = multipart("mixed", plain("Hello"), in_base64('application/pdf; name="a.pdf"', b"%PDF"))
    content = smime(signed_data(inner))
    message = parse(content)
    assert message.text == "Hello"
    assert attachment(content, only(message).part_number) == b"%PDF"


def test_smime_inside_smime_is_opened() -> None:
    inner = in_base64("application/pkcs7-mime", signed_data(TEXT))
    assert parse(smime(signed_data(inner))).text == "Signed and readable.\n"


def test_encrypted_smime_is_called_so_and_stays_a_file() -> None:
    message = parse(smime(der(0x30, oid(ENVELOPED), der(0xA0, der(0x30, b"secret")))))
    assert (message.text, only(message).filename) == (None, "smime.p7m")
    assert DefectKind.ENCRYPTED in defect_kinds(message)


def test_smime_that_says_it_is_encrypted_is_believed() -> None:
    message = parse(smime(b"not even ASN.1", "application/pkcs7-mime; smime-type=enveloped-data"))
    assert DefectKind.ENCRYPTED in defect_kinds(message)


@pytest.mark.parametrize(
    "damage", [b"", b"\x30", b"\x30\x80", b"\x30\x84\xff\xff\xff\xff", b"text", b"\x30\x80" * 5000]
)
def test_smime_that_cannot_be_followed_stays_a_file(damage: bytes) -> None:
    message = parse(smime(damage))
    assert only(message).size == len(damage)
    assert DefectKind.ATTACHMENT in defect_kinds(message)


@pytest.mark.parametrize("cut", range(0, 160, 7))
def test_smime_that_was_cut_off_is_read_or_kept(cut: int) -> None:
    octets = signed_data(TEXT)
    message = parse(smime(octets[:-cut] if cut else octets))
    assert message.text or only(message)
