"""The keys by which addresses and Message-IDs are signed (``ingest.signing``), and which of them are too weak."""

from dataclasses import dataclass

MIN_KEY_BYTES = 32
"""Length of a key: as long as the digest. Whoever has a signed address can try keys at home, and finds a short one."""
MIN_KEY_VALUES = 8
"""Different bytes that a key must have at least. Random ones have far more; a repeated letter has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKeys:
    """The keys of a help desk, and how old a signature may be."""

    keys: tuple[bytes, ...]
    """All are valid for checking, at least one; the first is for signing."""
    max_age_days: float = 0.0
    """Age in days above which a signature with a date proves nothing any more; 0 for no limit."""


def weakness_of(key: bytes) -> str | None:
    """Return why a key is too weak to sign with, and how to make a better one; ``None`` for a good one."""
    if len(key) < MIN_KEY_BYTES:
        problem = f"it has {len(key)} bytes, and needs {MIN_KEY_BYTES}"
    elif len(set(key)) < MIN_KEY_VALUES:
        problem = f"it has fewer than {MIN_KEY_VALUES} different characters"
    else:
        return None
    return f"{problem}, else it can be guessed from one signed address; make one with: openssl rand -hex 32"
