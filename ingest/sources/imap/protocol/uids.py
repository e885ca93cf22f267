"""Formats UIDs for commands and for the store."""

from collections.abc import Iterable


def sequence_set(uids: Iterable[int]) -> str:
    """Return a ``sequence-set`` (RFC 3501 section 9): ``1:3,5`` for 1, 2, 3 and 5."""
    runs: list[list[int]] = []
    for uid in sorted(uids):
        if runs and uid <= runs[-1][1] + 1:
            runs[-1][1] = uid
        else:
            runs.append([uid, uid])
    return ",".join(str(first) if first == last else f"{first}:{last}" for first, last in runs)


def position(uid_validity: int, uid: int) -> str:
    """Return a message's position in its folder as the store keeps it (``SourceRef.position``)."""
    return f"{uid_validity}/{uid}"
