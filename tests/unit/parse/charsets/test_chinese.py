"""The Chinese charsets that Python has no codec for."""

import pytest

from ingest.parse.charsets.chinese import EUC_TW, decode_chinese
from ingest.parse.charsets.decode import decode_text


def test_octets_that_begin_no_character_of_euc_tw_are_none() -> None:
    assert decode_chinese(b"\xff\xffab\x80\xda\xc0\xa0", EUC_TW, "replace") == "\ufffd\ufffdab\ufffd您\ufffd"


@pytest.mark.parametrize(
    ("label", "octets"),
    [
        ("x-euc-tw", b"\xda\xc0" * 20 + b"\x8e\xa7\xa1\xa1"),
        ("x-euc-tw", b"\xda\xc0" * 20 + b"\xda"),
        ("iso-2022-cn", b"\x1b$)G\x0eZ@Z@Z\x0f"),
        ("iso-2022-cn", b"\x0eZ@\x1b$+Q\x1bO!!\x1bN!!\x1b$)A"),
    ],
)
def test_rare_or_broken_characters_of_china_cost_no_others(label: str, octets: bytes) -> None:
    found = decode_text(octets, label)
    assert found.repair
    assert found.text.count("您") in (0, 2, 20)
