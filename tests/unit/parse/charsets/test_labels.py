"""Labels of charsets: the codec that each name in mail stands for."""

import pytest

from ingest.parse.charsets.decode import decode_text
from ingest.parse.charsets.labels import codec_for

WHATWG = """
unicode-1-1-utf-8 unicode11utf8 unicode20utf8 utf-8 utf8 x-unicode20utf8 866 cp866 csibm866 ibm866 csisolatin2
iso-8859-2 iso-ir-101 iso8859-2 iso88592 iso_8859-2 iso_8859-2:1987 l2 latin2 csisolatin3 iso-8859-3 iso-ir-109
iso8859-3 iso88593 iso_8859-3 iso_8859-3:1988 l3 latin3 csisolatin4 iso-8859-4 iso-ir-110 iso8859-4 iso88594
iso_8859-4 iso_8859-4:1988 l4 latin4 csisolatincyrillic cyrillic iso-8859-5 iso-ir-144 iso8859-5 iso88595
iso_8859-5 iso_8859-5:1988 arabic asmo-708 csiso88596e csiso88596i csisolatinarabic ecma-114 iso-8859-6
iso-8859-6-e iso-8859-6-i iso-ir-127 iso8859-6 iso88596 iso_8859-6 iso_8859-6:1987 csisolatingreek ecma-118
elot_928 greek greek8 iso-8859-7 iso-ir-126 iso8859-7 iso88597 iso_8859-7 iso_8859-7:1987 sun_eu_greek
csiso88598e csisolatinhebrew hebrew iso-8859-8 iso-8859-8-e iso-ir-138 iso8859-8 iso88598 iso_8859-8
iso_8859-8:1988 visual csiso88598i iso-8859-8-i logical csisolatin6 iso-8859-10 iso-ir-157 iso8859-10 iso885910
l6 latin6 iso-8859-13 iso8859-13 iso885913 iso-8859-14 iso8859-14 iso885914 csisolatin9 iso-8859-15 iso8859-15
iso885915 iso_8859-15 l9 iso-8859-16 cskoi8r koi koi8 koi8-r koi8_r koi8-ru koi8-u csmacintosh mac macintosh
x-mac-roman dos-874 iso-8859-11 iso8859-11 iso885911 tis-620 windows-874 cp1250 windows-1250 x-cp1250 cp1251
windows-1251 x-cp1251 ansi_x3.4-1968 ascii cp1252 cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 iso8859-1
iso88591 iso_8859-1 iso_8859-1:1987 l1 latin1 us-ascii windows-1252 x-cp1252 cp1253 windows-1253 x-cp1253 cp1254
csisolatin5 iso-8859-9 iso-ir-148 iso8859-9 iso88599 iso_8859-9 iso_8859-9:1989 l5 latin5 windows-1254 x-cp1254
cp1255 windows-1255 x-cp1255 cp1256 windows-1256 x-cp1256 cp1257 windows-1257 x-cp1257 cp1258 windows-1258
x-cp1258 x-mac-cyrillic x-mac-ukrainian chinese csgb2312 csiso58gb231280 gb2312 gb_2312 gb_2312-80 gbk iso-ir-58
x-gbk gb18030 big5 big5-hkscs cn-big5 csbig5 x-x-big5 cseucpkdfmtjapanese euc-jp x-euc-jp csiso2022jp
iso-2022-jp csshiftjis ms932 ms_kanji shift-jis shift_jis sjis windows-31j x-sjis cseuckr csksc56011987 euc-kr
iso-ir-149 korean ks_c_5601-1987 ks_c_5601-1989 ksc5601 ksc_5601 windows-949 csiso2022kr hz-gb-2312 iso-2022-kr
unicodefffe utf-16be csunicode iso-10646-ucs-2 ucs-2 unicode unicodefeff utf-16 utf-16le
"""


@pytest.mark.parametrize("label", WHATWG.split())
def test_every_label_of_the_encoding_standard_is_known(label: str) -> None:
    assert codec_for(label)
    assert codec_for(f'"{label.upper()}"') == codec_for(label)


SAMPLES = {
    "utf_8": "Größe – 日本語 ☀",
    "cp866": "Добрый день, ёж",
    "iso8859_2": "Příliš žluťoučký kůň",
    "iso8859_3": "Ĉu vi ĝojas? Eĥoŝanĝo ĉiuĵaŭde",
    "iso8859_4": "Šķiņķis, ēst",
    "iso8859_5": "Добрый день",
    "iso8859_6": "مرحبا بك",
    "iso8859_7": "Καλημέρα €",
    "iso8859_8": "שלום לכם",
    "iso8859_10": "Þú ert hér, Ŋuolla",
    "iso8859_13": "Ąžuolas, šķīvis",
    "iso8859_14": "Tŷ ŵyna, ḃeaḋ",
    "iso8859_15": "Cœur à 5 €",
    "iso8859_16": "Știință și artă €",
    "koi8_r": "Добрый день, ёж",
    "koi8_u": "Доброго дня, їжак",
    "mac_roman": "Größe “déjà” €",
    "mac_cyrillic": "Добрый день",
    "cp874": "สวัสดี “ครับ”",
    "cp1250": "Zażółć gęślą „jaźń”",
    "cp1251": "Добрый день — №5",
    "cp1252": "Größe – “déjà” 5 €",
    "cp1253": "Καλημέρα – “5 €”",
    "cp1254": "Merhaba, iyi günler – ışık “5 €”",
    "cp1255": "שלום – “5 ₪”",
    "cp1256": "مرحبا – “پنج”",
    "cp1257": "Ąžuolas – “šķīvis”",
    "cp1258": "Đường – “5 ₫”".replace("ư\u1edd", "ư\u01a1\u0300"),
    "gb18030": "您好，陳鎔基，€",
    "cp950": "您好，我無法登入",
    "big5hkscs": "嘅咗，您好",
    "euc_jp": "日本語ｶﾅ",
    "iso2022_jp": "日本語とカナ",
    "cp932": "日本語ｶﾅ①髙",
    "cp949": "똠방각하, 안녕하세요",
    "iso2022_kr": "안녕하세요",
    "hz": "您好 there",
    "utf_16": "Größe 日本語",
    "utf_16_le": "Größe 日本語",
    "utf_16_be": "Größe 日本語",
}
"""Of each encoding that the standard's labels name, a text that makes use of it."""


@pytest.mark.parametrize("label", WHATWG.split())
def test_a_text_is_read_under_every_label_of_the_encoding_standard(label: str) -> None:
    codec = codec_for(label) or ""
    text = SAMPLES[codec]
    octets = (
        b"\xad\xa1".join(part.encode(codec) for part in text.split("①")) if codec == "euc_jp" else text.encode(codec)
    )
    assert decode_text(octets, label).text == text
    assert decode_text(octets, label.upper()).text == text


@pytest.mark.parametrize(
    ("label", "codec"),
    [
        ("utf8mb4", "utf_8"),
        ("utf-8-sig", "utf_8"),
        ("=utf-8", "utf_8"),
        ("charset=utf-8", "utf_8"),
        ("uft-8", "utf_8"),
        ("unicode-1-1-utf-7", "utf_7"),
        ("ansi_x3.110-1983", "cp1252"),
        ("iso-8859-1,utf-8", "cp1252"),
        ("us-ascii\\", "cp1252"),
        ("1251", "cp1251"),
        ("8859_2", "iso8859_2"),
        ("ISO 8859-15", "iso8859_15"),
        ("windows-28605", "iso8859_15"),
        ("Windows-28592", "iso8859_2"),
        ("microsoft-cp1251", "cp1251"),
        ("cp20866", "koi8_r"),
        ("cp-850", "cp850"),
        ("ibm-1252", "cp1252"),
        ("x-sjis", "cp932"),
        ("x-mac-japanese", "cp932"),
        ("x-mac-korean", "cp949"),
        ("x-mac-chinesetrad", "cp950"),
        ("x-mac-chinesesimp", "gb18030"),
        ("x-mac-ce", "mac_latin2"),
        ("x-mac-croatian", "mac_croatian"),
        ("x-mac-romanian", "mac_romanian"),
        ("ms-ee", "cp1250"),
        ("csWindows1251", "cp1251"),
        ("iso-ir-226", "iso8859_16"),
        ("cp1125", "cp1125"),
        ("unicode", "utf_16"),
        ("hex_codec", None),
        ("_iso-2022-jp$ESC", "iso2022_jp"),
        ("x-unknown", None),
        ("unknown-8bit", None),
        ("default", None),
        ("binary", None),
        ("cp99999", None),
        ("28699", None),
    ],
)
def test_the_further_names_of_mail_are_known_and_those_that_say_nothing_are_not(label: str, codec: str | None) -> None:
    assert codec_for(label) == codec


@pytest.mark.parametrize(
    "label", ["undefined", "idna", "punycode", "base64", "rot13", "unicode_escape", "\x00", "mbcs", "x" * 5000]
)
def test_a_codec_of_python_that_is_no_charset_is_not_used(label: str) -> None:
    assert decode_text(b"plain \\u0041 words", label).text == "plain \\u0041 words"
