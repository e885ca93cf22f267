"""Sets of UIDs as IMAP writes them (RFC 3501 section 9, ``sequence-set``)."""

from collections.abc import Iterable


def ranges(uids: Iterable[int]) -> str:
    """``1:3,5`` for 1, 2, 3 and 5."""
    runs: list[list[int]] = []
    for uid in sorted(uids):
        if runs and uid <= runs[-1][1] + 1:
            runs[-1][1] = uid
        else:
            runs.append([uid, uid])
    return ",".join(str(first) if first == last else f"{first}:{last}" for first, last in runs)


def position(uid_validity: int, uid: int) -> str:
    """The place of a message as the store keeps it."""
    return f"{uid_validity}/{uid}"
