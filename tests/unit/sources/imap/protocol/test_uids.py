"""Sets of UIDs."""

from hypothesis import given
from hypothesis import strategies as st

from ingest.sources.imap.protocol.uids import sequence_set


@given(st.frozensets(st.integers(1, 60)))
def test_ranges_name_exactly_the_uids(uids: frozenset[int]) -> None:
    named: set[int] = set()
    for part in sequence_set(uids).split(",") if uids else []:
        first, _, last = part.partition(":")
        named |= set(range(int(first), int(last or first) + 1))
    assert named == uids
