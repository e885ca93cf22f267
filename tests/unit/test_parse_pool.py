"""What the worker accepts from a parser process. The processes themselves are tested in ``tests/acceptance``."""

import pickle

import pytest

from ingest.model.message import Segment, SegmentKind
from ingest.model.reasons import CutReason, Recognised
from ingest.parse_pool import PoisonMessage, _unpickle


class Attribute:
    """Pickled as ``getattr(owner, name)``, as Python before 3.11.4 pickles the members of an enum."""

    def __init__(self, owner: object, name: str) -> None:
        self._call = getattr, (owner, name)

    def __reduce__(self) -> tuple[object, ...]:
        return self._call


def test_a_result_with_enums_is_the_same_on_the_other_side() -> None:
    segment = Segment(text="x", kind=SegmentKind.QUOTE, kept=False, reason=Recognised(CutReason.ATTRIBUTION, "German"))
    assert _unpickle(pickle.dumps(segment, protocol=5)) == segment


def test_members_of_enums_are_accepted_as_older_pythons_pickle_them() -> None:
    assert _unpickle(pickle.dumps(Attribute(CutReason, "RULE"))) is CutReason.RULE


def test_no_other_attribute_is_accepted() -> None:
    for attribute in (Attribute(Segment, "__init__"), Attribute(CutReason, "mro"), Attribute("text", "format")):
        with pytest.raises(PoisonMessage, match="cannot be read"):
            _unpickle(pickle.dumps(attribute))
