"""What the store keeps of a mailbox: its folders, the UIDs of stored messages, and the refresh token of the account.

Times are Unix times in seconds.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """One folder of an account: from which message on we read it, and the result of the last count."""

    source: str
    """Name of the folder in the store: ``imap:<account>/<folder>``, as in ``SourceRef.source``."""
    uid_validity: int
    """The UIDVALIDITY under which the UIDs below are valid (RFC 9051 section 2.3.1.1)."""
    start_uid: int
    """Messages up to this UID were there before the first reading, and are not taken in."""
    first_read_at: float
    """When the folder was read for the first time."""
    ignored_before: float | None = None
    """Messages whose INTERNALDATE is before this are not taken in either; ``None``: all dates are."""
    marked_uid: int = 0
    """Up to this UID the account's ``after`` action was applied to every stored message."""
    on_server: int = 0
    """Messages past ``start_uid`` on the server at the last count."""
    taken_in: int = 0
    """How many of them the store had at the last count."""
    gap_since: float | None = None
    """Since when the server has had messages that the store has not; ``None``: there are none."""
    counted_at: float | None = None
    """When the last count was; ``None``: there was none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredUids:
    """The UIDs of the messages that are stored from a folder."""

    whole: frozenset[int]
    """Messages that are stored as a whole."""
    partial: frozenset[int]
    """Messages that the server could not send as a whole. They are quarantined, and left untouched in the mailbox."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedToken:
    """The latest refresh token of an account, as the provider gave it."""

    refresh_token: str
    saved_at: float
    ends_at: float | None = None
    """When it expires unless it is used before; ``None``: the provider does not say."""
    origin: str = ""
    """Digest of the token file that it was renewed from, so that a new file replaces it; ``""``: it comes from a
    log-in."""
