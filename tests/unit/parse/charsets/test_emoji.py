"""The emoji of Japanese carriers, and what only looks like them."""

from ingest.parse.charsets.decode import decode_text


def test_carriers_of_japan_whose_emoji_share_codes_are_a_guess_that_is_told() -> None:
    assert "DoCoMo" in decode_text("晴れ".encode("cp932") + b"\xf8\x9f", "shift_jis").repair


def test_letters_of_the_senders_own_are_no_emoji() -> None:
    assert decode_text("晴れ".encode("cp932") + b"\xf0\x40", "shift_jis").text == "晴れ\ue000"


def test_a_rare_kanji_of_a_name_is_no_emoji() -> None:
    assert decode_text(b"\x1b$Byu66\x1b(B", "iso-2022-jp").text == "﨑橋"
