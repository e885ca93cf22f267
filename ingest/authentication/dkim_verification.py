"""Verifies DKIM signatures (RFC 6376, 8301, 8463) with keys that were fetched before. Runs in a parser process.

dkimpy does the canonical header, its hash and the mathematics. What it believes too easily, or takes too long for, is
decided here before it is called: sizes, the body (``dkim_message.py``), weak keys, keys under test, ``l=``, unsigned
fields.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import dkim
from dkim.util import InvalidTagValueList, parse_tag_value

from ingest.authentication.dkim_message import DkimMessage, RawField, UnreadableHeader
from ingest.model.signatures import DkimKeyName, DkimSignature, DkimVerdict

MAX_SIGNATURES = 5
"""Signatures of one mail that are verified."""
MAX_SIGNATURE_FIELD_BYTES = 8 * 1024
"""Size of a DKIM-Signature field. Real ones have some 700 bytes; four thousand bits of key add 400."""
MAX_SPACES = 200
"""White space in a row in a DKIM-Signature field. dkimpy's search for ``b=`` takes quadratic time for it."""
MAX_SIGNED_FIELDS = 200
"""Names in ``h=``. Each is looked for among all fields."""
MAX_KEY_RECORD_CHARACTERS = 2048
"""Size of a key record: a key of 4,096 bits has 736."""
MIN_RSA_BITS, MAX_RSA_BITS = 1024, 4096
"""RFC 8301 section 3.2: shorter keys prove nothing. Longer ones need not be verified, and take minutes."""
MAX_RSA_EXPONENT_BITS = 64
"""Size of the public exponent, which is 65,537 nearly everywhere. A long one makes verifying slow."""
CLOCK_DIFFERENCE_SECONDS = 3600.0
"""How far the signer's clock may differ from ours."""

_ALGORITHMS = {b"rsa-sha256": b"rsa", b"ed25519-sha256": b"ed25519"}
"""Signature algorithms and the type of their keys. ``rsa-sha1`` proves nothing (RFC 8301 section 3.1)."""
_MANDATORY = (b"v", b"a", b"b", b"bh", b"d", b"h", b"s")
_LONG_SPACE = re.compile(rb"\s{%d}" % MAX_SPACES)
_NUMBER = re.compile(rb"[0-9]{1,12}")
_DNS_NAME = re.compile(rb"(?=.{1,253}\Z)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*", re.ASCII)
_ONCE = frozenset(
    b"from sender reply-to to cc subject date message-id in-reply-to references mime-version content-type"
    b" content-transfer-encoding".split()
)
"""Fields that may stand once (RFC 5322 section 3.6, RFC 2045). Of a repeated one, people may see the one that is not
signed."""

Tags = dict[bytes, bytes]
Keys = Mapping[DkimKeyName, Sequence[str]]
"""The TXT records of each key. A key that was not looked up is missing; its signatures are left out."""


class _NoProof(Exception):
    """A signature does not pass."""

    def __init__(self, verdict: DkimVerdict, detail: str) -> None:
        super().__init__(detail)
        self.verdict = verdict
        self.detail = detail


def read_key_name(value: bytes) -> DkimKeyName | None:
    """Return which key the value of a DKIM-Signature field names; ``None`` if it names none or is too large."""
    try:
        return _key_name(_parse_tags(value))
    except _NoProof:
        return None


def verify_signatures(
    content: bytes, keys: Keys, *, author_field: bytes, received_at: float
) -> tuple[DkimSignature, ...]:
    """Verify those signatures of a mail whose keys are given, from the top, ``MAX_SIGNATURES`` at most.

    ``author_field`` is the value of From as the parser reads it: a signature counts only where it signs the same one.
    ``received_at`` is the Unix time at which signatures must not have expired. Never raises but for ``MemoryError``."""
    try:
        message = DkimMessage(content)
    except UnreadableHeader as error:
        return tuple(DkimSignature(key_name=name, verdict=DkimVerdict.NO_PROOF, detail=str(error)) for name in keys)
    if [_squeezed(value) for value in message.values(b"from")] != [_squeezed(author_field)]:
        detail = "the From field is not one that all programs read in the same way"
        return tuple(DkimSignature(key_name=name, verdict=DkimVerdict.NO_PROOF, detail=detail) for name in keys)
    found = islice(_signatures_with_keys(message, keys), MAX_SIGNATURES)
    return tuple(_verify(message, field, name, keys[name], received_at) for field, name in found)


def _squeezed(value: bytes) -> bytes:
    return b" ".join(value.split())


def _signatures_with_keys(message: DkimMessage, keys: Keys) -> Iterator[tuple[RawField, DkimKeyName]]:
    for field in message.fields:
        if field[0].lower() == b"dkim-signature":
            name = read_key_name(field[1])
            if name is not None and name in keys:
                yield field, name


def _verify(
    message: DkimMessage, field: RawField, name: DkimKeyName, records: Sequence[str], received_at: float
) -> DkimSignature:
    try:
        tags = _parse_tags(field[1])
        _check_tags(tags, received_at)
        record = _choose_record(records)
        _check_key(tags, record)
        signed = _signed_fields(message, tags)
        _check_body(message, tags)
        _check_header(message, field, tags, signed, record)
    except _NoProof as error:
        return DkimSignature(key_name=name, verdict=error.verdict, detail=error.detail)
    except MemoryError:
        raise
    except Exception as error:  # dkimpy raises many kinds for what is malformed
        detail = f"it cannot be verified ({type(error).__name__})"
        return DkimSignature(key_name=name, verdict=DkimVerdict.NO_PROOF, detail=detail)
    return DkimSignature(key_name=name, verdict=DkimVerdict.PASS, detail="it is good")


def _parse_tags(value: bytes) -> Tags:
    if len(value) > MAX_SIGNATURE_FIELD_BYTES or _LONG_SPACE.search(value):
        raise _NoProof(DkimVerdict.NO_PROOF, "its field is too long")
    return _tag_list(value)


def _tag_list(text: bytes) -> Tags:
    try:
        return dict(parse_tag_value(text))
    except InvalidTagValueList as error:
        raise _NoProof(DkimVerdict.NO_PROOF, "it is not well-formed") from error


def _key_name(tags: Tags) -> DkimKeyName:
    domain, selector = tags.get(b"d", b"").rstrip(b"."), tags.get(b"s", b"").rstrip(b".")
    if not _DNS_NAME.fullmatch(domain) or not _DNS_NAME.fullmatch(selector):
        raise _NoProof(DkimVerdict.NO_PROOF, "it names no key")
    return DkimKeyName(domain.decode("ascii").lower(), selector.decode("ascii").lower())


def _check_tags(tags: Tags, received_at: float) -> None:
    if missing := [tag.decode() for tag in _MANDATORY if tag not in tags]:
        raise _NoProof(DkimVerdict.NO_PROOF, f"it has no {missing[0]}=")
    if tags[b"a"] not in _ALGORITHMS:
        raise _NoProof(DkimVerdict.NO_PROOF, "its algorithm proves nothing; only rsa-sha256 and ed25519-sha256 do")
    made_at, ends_at = (_time(tags, tag) for tag in (b"t", b"x"))
    if ends_at is not None and ends_at < received_at - CLOCK_DIFFERENCE_SECONDS:
        raise _NoProof(DkimVerdict.NO_PROOF, "it had expired (x=)")
    if made_at is not None and made_at > received_at + CLOCK_DIFFERENCE_SECONDS:
        raise _NoProof(DkimVerdict.NO_PROOF, "it was made in the future (t=)")
    try:
        dkim.validate_signature_fields({tag: tags[tag] for tag in tags if tag not in (b"t", b"x")})
    except dkim.ValidationError as error:
        raise _NoProof(DkimVerdict.NO_PROOF, "it is not well-formed") from error


def _time(tags: Tags, tag: bytes) -> int | None:
    if tag not in tags:
        return None
    if not _NUMBER.fullmatch(tags[tag]):
        raise _NoProof(DkimVerdict.NO_PROOF, f"its {tag.decode()}= is no time")
    return int(tags[tag])


def _choose_record(records: Sequence[str]) -> bytes:
    """Return the one key record. Several would be a choice for whoever wants to be believed (section 3.6.2.2)."""
    texts = [record.encode("latin-1", "replace") for record in records]
    found = [text for text in texts if re.search(rb"(?:\A|;)\s*p\s*=", text[:MAX_KEY_RECORD_CHARACTERS])]
    if not found:
        raise _NoProof(DkimVerdict.NO_KEY, "its domain publishes no such key")
    if len(found) > 1:
        raise _NoProof(DkimVerdict.NO_PROOF, "its domain publishes several keys by one name")
    if len(found[0]) > MAX_KEY_RECORD_CHARACTERS:
        raise _NoProof(DkimVerdict.NO_PROOF, f"its key record has more than {MAX_KEY_RECORD_CHARACTERS} bytes")
    return found[0]


def _check_key(tags: Tags, record: bytes) -> None:
    """Check what the key record says about the use of the key (RFC 6376 section 3.6.1), and the size of the key."""
    key = _tag_list(record)
    if key.get(b"v", b"DKIM1") != b"DKIM1":
        raise _NoProof(DkimVerdict.NO_KEY, "its key record is of another version")
    if not key[b"p"]:
        raise _NoProof(DkimVerdict.NO_KEY, "its domain has withdrawn the key")
    flags = _words(key.get(b"t", b""))
    if b"y" in flags:
        raise _NoProof(DkimVerdict.NO_PROOF, "its domain is only testing the key (t=y)")
    if b"s" in flags and _identity_domain(tags) != tags[b"d"].lower():
        raise _NoProof(DkimVerdict.NO_PROOF, "the key is not for subdomains (t=s)")
    if b"h" in key and b"sha256" not in _words(key[b"h"]):
        raise _NoProof(DkimVerdict.NO_PROOF, "the key is not for sha256 (h=)")
    if not {b"*", b"email"} & _words(key.get(b"s", b"*")):
        raise _NoProof(DkimVerdict.NO_PROOF, "the key is not for mail (s=)")
    if key.get(b"k", b"rsa") != _ALGORITHMS[tags[b"a"]]:
        raise _NoProof(DkimVerdict.NO_PROOF, "the key is of another type (k=)")
    if key.get(b"k", b"rsa") == b"rsa":
        _check_rsa_size(record)


def _words(value: bytes) -> set[bytes]:
    return {word.strip() for word in value.split(b":")}


def _identity_domain(tags: Tags) -> bytes:
    return tags.get(b"i", b"@" + tags[b"d"]).rpartition(b"@")[2].lower()


def _check_rsa_size(record: bytes) -> None:
    try:
        key, bits, *_ = dkim.evaluate_pk(b"key", record)
    except (dkim.KeyFormatError, binascii.Error, IndexError, TypeError) as error:
        raise _NoProof(DkimVerdict.NO_KEY, "its key cannot be read") from error
    if not MIN_RSA_BITS <= bits <= MAX_RSA_BITS:
        detail = f"its key has {bits} bits; {MIN_RSA_BITS} to {MAX_RSA_BITS} are believed"
        raise _NoProof(DkimVerdict.NO_PROOF, detail)
    exponent = key["publicExponent"]
    if exponent < 3 or exponent % 2 == 0 or exponent.bit_length() > MAX_RSA_EXPONENT_BITS:
        raise _NoProof(DkimVerdict.NO_PROOF, "the exponent of its key is not one that is believed")


def _signed_fields(message: DkimMessage, tags: Tags) -> list[bytes]:
    """Return the names in ``h=``. From must be among them."""
    names = [name.strip().lower() for name in tags[b"h"].split(b":")]
    if len(names) > MAX_SIGNED_FIELDS:
        raise _NoProof(DkimVerdict.NO_PROOF, f"it names more than {MAX_SIGNED_FIELDS} fields")
    if b"from" not in names:
        raise _NoProof(DkimVerdict.NO_PROOF, "it does not sign From")
    for name in sorted(_ONCE.intersection(names)):
        if len(message.values(name)) > max(1, names.count(name)):
            raise _NoProof(DkimVerdict.BROKEN, f"the mail has a second field {name.decode()}, which it does not sign")
    return names


def _check_body(message: DkimMessage, tags: Tags) -> None:
    algorithm = tags.get(b"c", b"simple/simple").partition(b"/")[2] or b"simple"
    if algorithm not in (b"simple", b"relaxed"):
        raise _NoProof(DkimVerdict.NO_PROOF, "its canonicalisation is not known")
    found = message.body_hash(algorithm)
    if b"l" in tags and int(tags[b"l"]) != found.length:
        raise _NoProof(DkimVerdict.NO_PROOF, "it does not sign the whole body (l=)")
    if base64.b64decode(b"".join(tags[b"bh"].split())) != found.digest:
        raise _NoProof(DkimVerdict.BROKEN, "the body was changed after signing")


def _check_header(message: DkimMessage, field: RawField, tags: Tags, signed: list[bytes], record: bytes) -> None:
    verifier = dkim.DKIM(minkey=MIN_RSA_BITS)
    verifier.headers = [list(one) for one in message.fields if one[0].lower() in signed]
    without_body = {tag: tags[tag] for tag in tags if tag not in (b"bh", b"l")}
    if not verifier.verify_sig(without_body, signed, field, lambda *_name, **_timeout: record):
        raise _NoProof(DkimVerdict.BROKEN, "the header or the signature was changed, or another key made it")
