"""A mailbox as we remember it: which folder, how it is numbered, what was taken in, and the token that opens it.

Times are Unix times in seconds.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """One folder of an account: where reading began, and what the last count of it said."""

    source: str
    """As in ``SourceRef.source``: ``imap:<account>/<folder>``."""
    uid_validity: int
    """The numbering that the UIDs below belong to (RFC 3501 section 2.3.1.1)."""
    start_uid: int
    """Messages up to this UID were there before us, and are not ours to take in."""
    met_at: float
    """When we read the folder the first time."""
    since: float | None = None
    """Messages that the server dates before this are not ours either; ``None``: the date does not matter."""
    marked_uid: int = 0
    """Messages up to this UID, as far as they are taken in, carry the mark that the account asks for."""
    on_server: int = 0
    """Messages past our start that the server held at the last count."""
    taken_in: int = 0
    """How many of them we had taken in."""
    gap_since: float | None = None
    """Since when there have been messages on the server that we have not taken in; ``None``: there are none."""
    counted_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredUids:
    """The UIDs that were taken in from a folder."""

    whole: frozenset[int]
    partial: frozenset[int]
    """Those that the server could not give us whole: quarantined, and to be left alone in the mailbox."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedToken:
    """The latest refresh token of an account, as the provider gave it."""

    refresh_token: str
    saved_at: float
    ends_at: float | None = None
    """When it ends unless it is used before; ``None``: the provider does not say."""
    origin: str = ""
    """Digest of the token file it descends from, so that a new file counts; ``""``: it comes from a log-in."""
