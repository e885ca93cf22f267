"""Text decoded to characters, under right, wrong and missing charsets."""

import pytest

from ingest.model.defects import DefectKind
from ingest.parse import parse
from ingest.parse.charsets.decode import decode_text
from tests.support.mime import defect_kinds, in_base64, mail

JAPANESE = "お世話になっております。"


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


def test_a_charset_of_another_part_is_tried_before_guessing() -> None:
    assert decode_text("Да".encode("koi8_r"), "", ("koi8-r",)).text == "Да"


def test_damaged_characters_do_not_change_the_charset_of_the_rest() -> None:
    found = decode_text(JAPANESE.encode("cp932") * 20 + b"\x81", "shift_jis")
    assert found.text.startswith(JAPANESE)
    assert found.repair


def test_iso_8859_stays_where_windows_lacks_an_octet_of_it() -> None:
    assert decode_text("kůň ".encode("iso8859_2") + b"\x81", "iso-8859-2").text == "kůň \x81"


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
