"""Says which folders there are instead of one that does not exist, and which of them was probably meant."""

from collections.abc import Sequence

MAX_FOLDERS_SHOWN = 20
"""Most names in one line for the operator."""


def missing_folder(name: str, existing: Sequence[str]) -> str:
    """Return one line on the ``move_to`` folder that is not among ``existing``, with a hint at the namespace: on many
    servers (Courier, Cyrus) every folder is below ``INBOX.``, and mail programs do not show that."""
    meant = [other for other in existing if _last_part(other) == _last_part(name)]
    hint = f"; did you mean {meant[0]!r}, with its namespace?" if meant else ""
    more = f" and {len(existing) - MAX_FOLDERS_SHOWN} more" if len(existing) > MAX_FOLDERS_SHOWN else ""
    names = ", ".join(repr(other) for other in existing[:MAX_FOLDERS_SHOWN])
    return f"folder {name!r} of move_to does not exist{hint}; existing folders: {names}{more}"


def _last_part(name: str) -> str:
    return name.replace("/", ".").rpartition(".")[2].casefold()
