"""Defects: a kind for code, a sentence for people."""

import pickle

import pytest

from ingest.model.defects import Defect, DefectKind


def test_a_defect_is_printed_as_its_kind_a_colon_and_its_detail() -> None:
    assert str(Defect(DefectKind.NOT_MAIL, "no field is there")) == "not a mail: no field is there"


@pytest.mark.parametrize("kind", DefectKind)
def test_each_kind_says_in_one_sentence_what_it_means(kind: DefectKind) -> None:
    assert kind.meaning.endswith(".")
    assert ". " not in kind.meaning


def test_a_defect_that_comes_from_another_process_is_equal_and_of_the_same_kind() -> None:
    sent = Defect(DefectKind.NESTED, "too deep")
    received = pickle.loads(pickle.dumps(sent))
    assert received == sent
    assert received.kind is DefectKind.NESTED
