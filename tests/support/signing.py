"""Keys and DKIM signatures for tests, made when they are needed."""

import base64
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import dkim
import nacl.signing
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

CUSTOMER = "customer.example"
SELECTOR = "s1"


class SigningKey(NamedTuple):
    """A private key in the form that dkimpy wants, and the TXT record of its public key."""

    private: bytes
    record: str
    algorithm: bytes


@cache
def rsa_key(bits: int = 2048) -> SigningKey:
    key = rsa.generate_private_key(65537, bits)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return SigningKey(private, rsa_record(key.public_key()), b"rsa-sha256")


def rsa_record(key: rsa.RSAPublicKey) -> str:
    public = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"v=DKIM1; k=rsa; p={base64.b64encode(public).decode()}"


@cache
def ed25519_key() -> SigningKey:
    key = nacl.signing.SigningKey.generate()
    public = base64.b64encode(bytes(key.verify_key)).decode()
    return SigningKey(base64.b64encode(bytes(key)), f"v=DKIM1; k=ed25519; p={public}", b"ed25519-sha256")


def signed(
    content: bytes,
    *,
    domain: str = CUSTOMER,
    selector: str = SELECTOR,
    key: SigningKey | None = None,
    form: str = "relaxed/relaxed",
    algorithm: bytes | None = None,
    fields: Sequence[str] | None = None,
    length: bool = False,
    identity: str | None = None,
) -> bytes:
    """``content`` with a signature of ``domain`` on top."""
    key = key or rsa_key()
    header, _, body = form.partition("/")
    signature: bytes = dkim.sign(
        content,
        selector.encode(),
        domain.encode(),
        key.private,
        identity=identity.encode() if identity else None,
        canonicalize=(header.encode(), body.encode()),
        signature_algorithm=algorithm or key.algorithm,
        include_headers=[name.encode() for name in fields] if fields else None,
        length=length,
    )
    return signature + content
