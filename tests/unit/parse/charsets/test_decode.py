"""Charsets: every name that mail uses, wrong names, no names."""

import pytest

from ingest.model.defects import DefectKind
from ingest.parse import parse
from ingest.parse.charsets.chinese import EUC_TW, decode_chinese
from ingest.parse.charsets.decode import decode_text
from ingest.parse.charsets.labels import codec_for
from tests.support.mime import defect_kinds, entity, in_base64, mail

JAPANESE = "お世話になっております。"
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


@pytest.mark.parametrize(
    ("label", "octets", "text"),
    [
        ("iso-2022-jp", b"\x1b$BF|K\\8l\x1b(B", "日本語"),
        ("ISO-2022-JP", b'\x1b$B-!-"\x1b(B', "①②"),
        ("cp50220", b"\x1b(I165\x1b(B", "ｱｶｵ"),
        ("iso-2022-jp", b'\x1b$B%"\x1b(B\x0e165\x0fabc', "アｱｶｵabc"),
        ("iso-2022-jp", b"\x1b(J\xb1\xb2\x1b(B", "ｱｲ"),
        ("iso-2022-jp-ms", b"\x1b$By!\x1b(B", "纊"),
        ("iso-2022-jp", b"\x1b$BF|K\\8l\nabc", "日本語\nabc"),
        ("iso-2022-jp", b"\x1b$(D0!\x1b(B", "丂"),
        ("iso-2022-jp-2", b"\x1b$A1#\x1b(B", "保"),
        ("iso-2022-jp-kddi", b"\x1b$Bu!F|\x1b(B", "🌠日"),
        ("iso-2022-jp", b"\x1b$BuAF|\x1b(B", "☀日"),
        ("iso-2022-jp", b"\x1b$BuAy!\x1b(B", "☀🍂"),
        ("shift_jis", "晴れ".encode("cp932") + b"\xf8\x9f\xf9\x40", "晴れ☀🌑"),
        ("shift_jis", "晴れ".encode("cp932") + b"\xf6\x60", "晴れ☀"),
        ("shift_jis", "晴れ".encode("cp932") + b"\xf9\x8b\xf7\x43", "晴れ☀📩"),
        ("euc-jp", b"\xfc\xe2\xb6\xb6\xf9\xf5", "髙橋﨑"),
        ("x-euc-tw", b"\xda\xc0\xc7\xef\xa1\xa2 abc \x8e\xa2\xa1\xa1", "您好， abc 乂"),
        ("iso-2022-cn", b"\x1b$)A\x0eDz:C#,\x0fabc", "您好，abc"),
        ("iso-2022-cn", b"\x1b$)G\x0eZ@Go\x0f\r\nabc", "您好\r\nabc"),
        ("iso-2022-cn", b"\x1b$*H\x1bN!!abc", "乂abc"),
        ("iso-2022-cn-ext", b"\x1b$)E\x0eDz:C\x0f", "您好"),
        ("us-ascii", b"\x1b$)A\x0eDz:C\x0f", "您好"),
        ("gb18030", b"\xa3\xa0\xa6\xd9", "\u3000︐"),
        ("windows-1252", b"caf\xe9 \x81 d\xe9j\xe0", "café  déjà"),
        ("iso-2022-kr", "한국어".encode("iso2022_kr"), "한국어"),
        ("hz-gb-2312", b"~{VPND~}", "中文"),
        ("utf-7", b"Gr+APYA3w-e", "Größe"),
        ("unicode-1-1-utf-7", b"+U0FOAw-", "十七"),
        ("gb2312", "陳鎔基".encode("gbk"), "陳鎔基"),
        ("x-gbk", "您好".encode("gbk"), "您好"),
        ("gb2312", "𠀀".encode("gb18030"), "𠀀"),
        ("ks_c_5601-1987", "뷁".encode("cp949"), "뷁"),
        ("euc-kr", "똠방각하".encode("cp949"), "똠방각하"),
        ("shift_jis", "①髙﨑".encode("cp932"), "①髙﨑"),
        ("euc-jp", b"\xad\xa1", "①"),
        ("big5", "中文€".encode("cp950"), "中文€"),
        ("big5", "嘅咗".encode("big5hkscs"), "嘅咗"),
        ("iso-8859-1", b"\x93hi\x94 \x80", "“hi” €"),
        ("us-ascii", b"\x93hi\x94", "“hi”"),
        ("iso-8859-8-i", "שלום".encode("iso8859_8"), "שלום"),
        ("cp-850", "Größe".encode("cp850"), "Größe"),
        ("x-mac-roman", "Größe".encode("mac_roman"), "Größe"),
        ("ISO 8859-15", b"\xa4", "€"),
        ("koi8-ru", "Привіт".encode("koi8_u"), "Привіт"),
        ("windows-874", "สวัสดี".encode("cp874"), "สวัสดี"),
        ("utf-16", "\ufeffGröße".encode("utf-16-le"), "Größe"),
        ("utf-16", "Größe".encode("utf-16-be"), "Größe"),
        ("utf-16", "Größe".encode("utf-16-le"), "Größe"),
        ("utf-16le", "Größe".encode("utf-16-le"), "Größe"),
        ("utf-32", "Größe".encode("utf-32-le"), "Größe"),
        ("utf-8", "\ufeffGröße".encode(), "Größe"),
    ],
)
def test_a_charset_is_read_as_it_is_really_written(label: str, octets: bytes, text: str) -> None:
    assert decode_text(octets, label).text == text


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


def test_carriers_of_japan_whose_pictographs_share_codes_are_a_guess_that_is_told() -> None:
    assert "DoCoMo" in decode_text("晴れ".encode("cp932") + b"\xf8\x9f", "shift_jis").repair


def test_letters_of_the_senders_own_are_no_pictographs() -> None:
    assert decode_text("晴れ".encode("cp932") + b"\xf0\x40", "shift_jis").text == "晴れ\ue000"


def test_a_rare_kanji_of_a_name_is_no_pictograph() -> None:
    assert decode_text(b"\x1b$Byu66\x1b(B", "iso-2022-jp").text == "﨑橋"


@pytest.mark.parametrize(
    ("label", "octets", "text"),
    [
        ("utf-8", "Café “hi” voilà".encode("cp1252"), "Café “hi” voilà"),
        ("iso-8859-1", "Größe – „gut“".encode(), "Größe – „gut“"),
        ("us-ascii", "Größe".encode(), "Größe"),
        ("us-ascii", "Добрый день, не могу войти".encode("cp1251"), "Добрый день, не могу войти"),
        ("iso-8859-1", "Добрый день, не могу войти".encode("koi8_r"), "Добрый день, не могу войти"),
        ("gb2312", "您好，我无法登录系统".encode(), "您好，我无法登录系统"),
        ("utf-8", "您好，我无法登录系统".encode("gbk"), "您好，我无法登录系统"),
        ("utf-8", JAPANESE.encode("cp932"), JAPANESE),
        ("utf-8", JAPANESE.encode("euc_jp"), JAPANESE),
        ("us-ascii", JAPANESE.encode("iso2022_jp"), JAPANESE),
        ("utf-8", JAPANESE.encode("iso2022_jp"), JAPANESE),
        ("x-unknown", "Größe".encode(), "Größe"),
        ("utf-8", "안녕하세요, 로그인이 안 됩니다".encode("cp949"), "안녕하세요, 로그인이 안 됩니다"),
        ("utf-8", "Größe, ".encode() + "Maße".encode("cp1252"), "Größe, Maße"),
        ("utf-16", b"plain words", "plain words"),
        ("utf-16", "Größe".encode(), "Größe"),
        (
            "iso-8859-1",
            "Příliš žluťoučký kůň úpěl ďábelské ódy".encode("cp1250"),
            "Příliš žluťoučký kůň úpěl ďábelské ódy",
        ),
        ("iso-8859-2", "Žádný „strom“ – nic".encode("cp1250"), "Žádný „strom“ – nic"),
        ("iso-8859-7", "“Καλημέρα” Άννα".encode("cp1253"), "“Καλημέρα” Άννα"),
        ("iso-8859-8-i", "“שלום” – כן".encode("cp1255"), "“שלום” – כן"),
        ("iso-8859-13", "Ačiū, “gerai”".encode("cp1257"), "Ačiū, “gerai”"),
        ("iso-8859-15", b"\x84c\xbdur\x93 5 \xa4", "„cœur“ 5 €"),
        ("utf-8", b"\xc2\x93Zitat\xc2\x94, d\xc2\x92accord", "“Zitat”, d’accord"),
        ("utf-8", b"ja \xed\xa0\xbd\xed\xb8\x80 gr\xc3\xbcn", "ja 😀 grün"),
        ("windows-1251", "Не могу войти, помогите".encode("koi8_r"), "Не могу войти, помогите"),
        ("koi8-r", "Не могу войти, помогите".encode("cp1251"), "Не могу войти, помогите"),
        ("gb2312", "您好，我無法登入系統，請幫忙".encode("cp950"), "您好，我無法登入系統，請幫忙"),
    ],
)
def test_a_wrong_declaration_is_repaired_and_told(label: str, octets: bytes, text: str) -> None:
    found = decode_text(octets, label)
    assert found.text == text
    assert found.repair or found.codec == "ascii"


@pytest.mark.parametrize(
    ("codec", "text"),
    [
        ("utf_8", "Größe – 日本語"),
        ("utf_8", "și"),
        ("utf_8", "Gro\u0308\u00dfe"),
        ("utf_8", "сегодня 25°С"),
        ("utf_8", "«Привет»"),
        ("cp1252", "CAFÉ…"),
        ("cp1252", "Merci pour votre aide, à demain"),
        ("cp1252", "El técnico llegará mañana por la mañana"),
        ("cp1252", "déjà vu"),
        ("cp1252", "naïve"),
        ("cp1252", "¿Cómo está? Mañana llamaré"),
        ("cp1252", "Können Sie mir helfen? Der Drucker läuft nicht."),
        ("cp1252", "Bonjour, voilà un café “gratuit” – à 3 €, c’est réglé."),
        ("cp1250", "žluťoučký kůň"),
        ("iso8859_2", "Dobrý den, potřebuji pomoct s přihlášením"),
        ("cp1250", "Dzień dobry, proszę o pomoc z zamówieniem, dziękuję"),
        ("cp1251", "Добрый день, не могу войти в систему"),
        ("koi8_r", "Добрый день, не могу войти в систему"),
        ("iso8859_7", "Καλημέρα, δεν μπορώ να συνδεθώ"),
        ("cp1255", "שלום, אני לא מצליח להתחבר"),
        ("cp1256", "مرحبا، لا أستطيع تسجيل الدخول"),
        ("cp874", "สวัสดีครับ ผมเข้าระบบไม่ได้"),
        ("cp1254", "Merhaba, siparişim hâlâ gelmedi, yardımcı olur musunuz? teşekkürler"),
        ("cp932", JAPANESE),
        ("euc_jp", JAPANESE),
        ("iso2022_jp", JAPANESE),
        ("gb18030", "您好，我无法登录系统，请帮忙"),
        ("gb18030", "好的，谢谢"),
        ("cp950", "您好，我無法登入系統，請幫忙"),
        ("cp949", "안녕하세요, 로그인이 안 됩니다"),
    ],
)
def test_an_undeclared_charset_is_detected(codec: str, text: str) -> None:
    assert decode_text(text.encode(codec)).text == text


@pytest.mark.parametrize(
    "label", ["undefined", "idna", "punycode", "base64", "rot13", "unicode_escape", "\x00", "mbcs", "x" * 5000]
)
def test_a_codec_of_python_that_is_no_charset_is_not_used(label: str) -> None:
    assert decode_text(b"plain \\u0041 words", label).text == "plain \\u0041 words"


def test_a_charset_of_another_part_is_tried_before_guessing() -> None:
    assert decode_text("Да".encode("koi8_r"), "", ("koi8-r",)).text == "Да"


def test_damaged_characters_do_not_change_the_charset_of_the_rest() -> None:
    found = decode_text(JAPANESE.encode("cp932") * 20 + b"\x81", "shift_jis")
    assert found.text.startswith(JAPANESE)
    assert found.repair


def test_the_body_of_an_ordinary_japanese_mail_is_read() -> None:
    message = parse(
        mail(
            entity("text/plain; charset=ISO-2022-JP", JAPANESE.encode("iso2022_jp"), "Content-Transfer-Encoding: 7bit")
        )
    )
    assert (message.text, message.defects) == (JAPANESE, ())


def test_html_names_its_charset_itself_where_the_field_does_not() -> None:
    markup = '<html><meta http-equiv="Content-Type" content="text/html; charset=koi8-r"><p>Да</p>'
    assert "Да" in (parse(mail(entity("text/html", markup.encode("koi8_r")))).html or "")


def test_html_names_its_charset_where_the_field_is_wrong() -> None:
    markup = '<meta charset="windows-1251"><p>Да</p>'
    message = parse(mail(in_base64("text/html; charset=us-ascii", markup.encode("cp1251"))))
    assert "Да" in (message.html or "")
    assert DefectKind.CHARSET in defect_kinds(message)


def test_iso_8859_stays_where_windows_lacks_an_octet_of_it() -> None:
    assert decode_text("kůň ".encode("iso8859_2") + b"\x81", "iso-8859-2").text == "kůň \x81"


def test_capitals_in_cyrillic_are_no_wrong_charset() -> None:
    assert decode_text("НЕ МОГУ ВОЙТИ".encode("cp1251"), "windows-1251").repair == ""


@pytest.mark.parametrize("label", ["utf-16", "utf-16be", "utf-32", "ibm037", "unicode"])
@pytest.mark.parametrize("codec", ["utf_8", "cp1252"])
def test_a_label_of_wide_characters_does_not_garble_a_text_that_has_none(label: str, codec: str) -> None:
    for text in ("Merci beaucoup, à demain mes amis", "Merci beaucoup, à demain, mes amis"):
        found = decode_text(text.encode(codec), label)
        assert found.text == text
        assert found.repair


def test_a_byte_order_mark_of_another_width_is_not_believed() -> None:
    assert "plain words" in decode_text(b"\xff\xfeplain words in ascii", "us-ascii").text


def test_half_a_character_of_utf_16_costs_no_others() -> None:
    assert decode_text("Größe ".encode() + b"\xed\xa0\xbd!", "utf-8").text == "Größe \ufffd!"


def test_a_repair_is_a_defect_of_the_message() -> None:
    message = parse(mail(in_base64("text/plain; charset=utf-8", "Größe".encode("cp1252"))))
    assert message.text == "Größe"
    assert DefectKind.CHARSET in defect_kinds(message)


@pytest.mark.parametrize("octets", [b"a\x00b", b"\xed\xa0\x80", "\ud83d".encode("utf-7", "surrogatepass")])
def test_no_text_has_nul_or_half_characters(octets: bytes) -> None:
    for label in ("utf-8", "utf-7", "utf-16", "gb18030", ""):
        text = parse(mail(in_base64(f"text/plain; charset={label or 'us-ascii'}", octets))).text or ""
        assert "\0" not in text
        assert text.encode()
