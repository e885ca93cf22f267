"""Recognises OpenPGP in the text itself (RFC 9580 section 7), which is older than PGP/MIME and still in use."""

_SIGNED = "-----BEGIN PGP SIGNED MESSAGE-----"
_SIGNATURE = "\n-----BEGIN PGP SIGNATURE-----"
_END = "-----END PGP SIGNATURE-----"
_ENCRYPTED = "-----BEGIN PGP MESSAGE-----"


def is_encrypted(text: str) -> bool:
    """Whether the text is a message that OpenPGP encrypted."""
    return text.lstrip().startswith(_ENCRYPTED)


def without_armour(text: str) -> str | None:
    """Return the signed text and what follows the signature; ``None`` if the text is no signed message.

    The signature is not checked."""
    bare = text.lstrip()
    signature = bare.find(_SIGNATURE)
    if not bare.startswith(_SIGNED) or signature < 0:
        return None
    _, _, signed = bare[:signature].partition("\n\n")
    end = bare.find(_END, signature)
    rest = bare[end + len(_END) :].lstrip("\n") if end >= 0 else ""
    lines = [line.removeprefix("- ") for line in signed.split("\n")]
    return "\n".join(lines) + "\n" + rest
