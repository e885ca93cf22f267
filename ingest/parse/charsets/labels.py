"""Maps the names of charsets in mail to the codec that decodes what is really sent under each.

The labels are those of the WHATWG Encoding Standard and the further ones that mail programs write. A label of a
subset stands for its superset (gb2312 for GB 18030, latin1 for cp1252), because senders use the superset's
characters under the subset's name.
"""

from encodings.aliases import aliases

from ingest.parse.charsets.chinese import EUC_TW, ISO_2022_CN

_LABELS = {
    "utf_8": (
        "utf-8 utf8 unicode-1-1-utf-8 unicode11utf8 unicode20utf8 x-unicode20utf8 utf-8-mac utf8mb4 cp65001 "
        "utf-8mb4 utf8mb3 utf-8mb3 unicode-2-0-utf-8 utf-8-strict utf-8-sig utf8-bom cesu-8 utf uft-8 utf=8 utf--8"
    ),
    "utf_7": "utf-7 utf7 unicode-1-1-utf-7 x-unicode-2-0-utf-7 unicode-2-0-utf-7 csunicode11utf7 cp65000",
    "utf_16": "unicode utf-16 utf16 ucs-2 iso-10646-ucs-2 csunicode cp1200 ucs2 iso-10646 unicode-1-1",
    "utf_16_le": "utf-16le utf16le unicodefeff utf-16-le ucs-2le ucs2le x-utf-16le-bom",
    "utf_16_be": "utf-16be utf16be unicodefffe cp1201 utf-16-be ucs-2be ucs2be",
    "utf_32": "utf-32 utf32 ucs-4 iso-10646-ucs-4",
    "utf_32_le": "utf-32le utf32le",
    "utf_32_be": "utf-32be utf32be",
    "cp1252": (
        "ansi_x3.4-1968 ansi_x3.4-1986 ascii us-ascii us csascii iso646-us iso_646.irv:1991 iso-ir-6 cp367 ibm367 646 "
        "cp1252 cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 iso8859-1 iso88591 iso_8859-1 iso_8859-1:1987 l1 "
        "latin1 latin-1 windows-1252 x-cp1252 ansi x-ansi 8bit 7bit iso-8859-1-windows-3.1-latin-1 ansi_x3.110-1983 "
        "iso-ir-99 csisoansix3110 iso-latin-1 iso-latin1 isolatin1 latin us-acii ascii-7bit ascii7 cp20127 "
        "windows-1252-http western ms-ansi"
    ),
    "iso8859_2": "csisolatin2 iso-8859-2 iso-ir-101 iso8859-2 iso88592 iso_8859-2 iso_8859-2:1987 l2 latin2 latin-2",
    "iso8859_3": "csisolatin3 iso-8859-3 iso-ir-109 iso8859-3 iso88593 iso_8859-3 iso_8859-3:1988 l3 latin3 latin-3",
    "iso8859_4": "csisolatin4 iso-8859-4 iso-ir-110 iso8859-4 iso88594 iso_8859-4 iso_8859-4:1988 l4 latin4 latin-4",
    "iso8859_5": "csisolatincyrillic cyrillic iso-8859-5 iso-ir-144 iso8859-5 iso88595 iso_8859-5 iso_8859-5:1988",
    "iso8859_6": (
        "arabic asmo-708 csiso88596e csiso88596i csisolatinarabic ecma-114 iso-8859-6 iso-8859-6-e iso-8859-6-i "
        "iso-ir-127 iso8859-6 iso88596 iso_8859-6 iso_8859-6:1987"
    ),
    "iso8859_7": (
        "csisolatingreek ecma-118 elot_928 greek greek8 iso-8859-7 iso-ir-126 iso8859-7 iso88597 iso_8859-7 "
        "iso_8859-7:1987 sun_eu_greek"
    ),
    "iso8859_8": (
        "csiso88598e csisolatinhebrew hebrew iso-8859-8 iso-8859-8-e iso-ir-138 iso8859-8 iso88598 iso_8859-8 "
        "iso_8859-8:1988 visual csiso88598i iso-8859-8-i logical cp38598"
    ),
    "cp1254": (
        "cp1254 csisolatin5 iso-8859-9 iso-ir-148 iso8859-9 iso88599 iso_8859-9 iso_8859-9:1989 l5 latin5 latin-5 "
        "windows-1254 x-cp1254 ms-turk"
    ),
    "iso8859_10": "csisolatin6 iso-8859-10 iso-ir-157 iso8859-10 iso885910 l6 latin6 latin-6",
    "cp874": (
        "dos-874 iso-8859-11 iso8859-11 iso885911 tis-620 tis620 windows-874 cp874 x-cp874 thai x-mac-thai cp10021"
    ),
    "iso8859_13": "iso-8859-13 iso8859-13 iso885913 latin7 latin-7 l7",
    "iso8859_14": "iso-8859-14 iso8859-14 iso885914 latin8 latin-8 l8 iso-celtic",
    "iso8859_15": "csisolatin9 iso-8859-15 iso8859-15 iso885915 iso_8859-15 l9 latin9 latin-9 latin0",
    "iso8859_16": "iso-8859-16 iso8859-16 iso885916 latin10 latin-10",
    "koi8_r": "cskoi8r koi koi8 koi8-r koi8_r koi8r koi-8 cp20866",
    "koi8_u": "koi8-u koi8u koi8-ru cp21866",
    "koi8_t": "koi8-t",
    "mac_roman": "csmacintosh mac macintosh x-mac-roman macroman x-macroman mac-roman cp10000",
    "mac_cyrillic": "x-mac-cyrillic x-mac-ukrainian mac-cyrillic maccyrillic cp10007 cp10017",
    "mac_latin2": "x-mac-ce x-mac-centraleurroman mac-ce macce x-mac-centraleurope maccentraleurope cp10029",
    "mac_croatian": "x-mac-croatian mac-croatian cp10082",
    "mac_romanian": "x-mac-romanian mac-romanian cp10010",
    "mac_greek": "x-mac-greek mac-greek macgreek cp10006",
    "mac_turkish": "x-mac-turkish mac-turkish macturkish cp10081",
    "mac_iceland": "x-mac-icelandic mac-iceland cp10079",
    "mac_arabic": "x-mac-arabic mac-arabic cp10004",
    "mac_farsi": "x-mac-farsi mac-farsi",
    "cp437": "cp437 ibm437 437 cspc8codepage437 dos-437",
    "cp720": "cp720 dos-720",
    "cp737": "cp737 ibm737",
    "cp775": "cp775 ibm775",
    "cp850": "cp850 ibm850 850 dos-850 x-cp850 cspc850multilingual",
    "cp852": "cp852 ibm852 852 dos-852 cspcp852",
    "cp855": "cp855 ibm855 855",
    "cp857": "cp857 ibm857 857",
    "cp858": "cp858 ibm00858 ibm858 cp00858",
    "cp860": "cp860 ibm860",
    "cp861": "cp861 ibm861",
    "cp862": "cp862 ibm862 dos-862",
    "cp863": "cp863 ibm863",
    "cp864": "cp864 ibm864",
    "cp865": "cp865 ibm865",
    "cp866": "866 cp866 csibm866 ibm866 dos-866",
    "cp869": "cp869 ibm869",
    "cp1250": "cp1250 windows-1250 x-cp1250 ms-ee",
    "cp1251": "cp1251 windows-1251 x-cp1251 ms-cyrl",
    "cp1253": "cp1253 windows-1253 x-cp1253 ms-greek",
    "cp1255": "cp1255 windows-1255 x-cp1255 ms-hebr x-mac-hebrew cp10005",
    "cp1256": "cp1256 windows-1256 x-cp1256 ms-arab",
    "cp1257": "cp1257 windows-1257 x-cp1257 winbaltrim",
    "cp1258": "cp1258 windows-1258 x-cp1258",
    "ptcp154": "ptcp154 pt154 cp154 cyrillic-asian csptcp154",
    "kz1048": "kz-1048 kz1048 strk1048-2002 rk1048",
    "hp_roman8": "hp-roman8 roman8 r8",
    "cp037": "ibm037 cp037 ebcdic-cp-us",
    "cp273": "ibm273 cp273",
    "cp500": "ibm500 cp500",
    "cp1140": "ibm01140 cp1140",
    "gb18030": (
        "gb18030 gb-18030 chinese csgb2312 csiso58gb231280 gb2312 gb-2312 gb_2312 gb_2312-80 gb2312-80 gbk iso-ir-58 "
        "x-gbk cp936 ms936 windows-936 936 euc-cn euccn cn-gb x-euc-cn gb18030-2000 gbk2k x-gb18030 iso-ir-165 "
        "x-mac-chinesesimp cp10008 cp54936 cp20936 cp1383 cp1386 ibm-1383"
    ),
    "hz": "hz-gb-2312 hz hz-gb hzgb cp52936",
    "cp950": (
        "big5 big-5 cn-big5 csbig5 x-x-big5 cp950 windows-950 ms950 950 big5-eten big5-2003 big5e big5plus "
        "chinesebig5 x-big5 x-mac-chinesetrad cp10002"
    ),
    "big5hkscs": "big5-hkscs big5hkscs big5-hkscs:2004 hkscs",
    "euc_jp": (
        "cseucpkdfmtjapanese euc-jp x-euc-jp eucjp eucjp-ms x-eucjp-ms eucjpms cp51932 ujis x-euc cp20932 eucjp-win "
        "eucjp-open cp33722 ibm-eucjp"
    ),
    "iso2022_jp": (
        "csiso2022jp iso-2022-jp iso-2022-jp-1 iso-2022-jp-2 iso-2022-jp-3 iso-2022-jp-2004 iso-2022-jp-ms "
        "iso-2022-jp-kddi iso-2022-jp-ext iso2022-jp iso2022jp jis cp50220 cp50221 cp50222 cp5022x x-iso-2022-jp "
        "windows-50220 windows-50221 windows-50222 csiso2022jp2 iso-2022-jp-mobile x-iso-2022-jp-kddi iso2022jp2 "
        "jis_encoding csjisencoding jis7 _iso-2022-jp$esc _iso-2022-jp$sio"
    ),
    "cp932": (
        "csshiftjis ms932 ms_kanji shift-jis shift_jis sjis windows-31j x-sjis cp932 mskanji csWindows31J x-ms-cp932 "
        "windows-932 932 shift_jis-kddi sjis-kddi x-sjis-kddi sjis-win shift_jisx0213 shift_jis-2004 jis_x0201 x0201 "
        "shift-jis-2004 sjis-open x-mac-japanese cp10001 cp943 cp943c cp942 ibm-943"
    ),
    "cp949": (
        "cseuckr csksc56011987 euc-kr iso-ir-149 korean ks_c_5601-1987 ks_c_5601-1989 ksc5601 ksc_5601 windows-949 "
        "cp949 uhc ms949 949 euckr x-windows-949 ks_c_5601 ks-c-5601-1987 ks_c-5601-1987 cp51949 x-mac-korean cp10003 "
        "cp970 ibm-euckr"
    ),
    EUC_TW: "x-euc-tw euc-tw euctw cns11643 x-cns-11643-1 cp964 ibm-euctw cp20000 x-chinese-cns",
    ISO_2022_CN: "iso-2022-cn iso-2022-cn-ext iso2022cn x-iso-2022-cn csiso2022cn cp50227 cp50229 x-cp50227",
    "iso2022_kr": "csiso2022kr iso-2022-kr iso2022-kr iso2022kr",
    "johab": "johab cp1361 ms1361 x-johab",
}

_CODECS: dict[str, str] = {label.lower(): codec for codec, labels in _LABELS.items() for label in labels.split()}

STATEFUL = frozenset({"iso2022_jp", "iso2022_kr", ISO_2022_CN, "hz", "utf_7"})
"""Charsets that write their characters with 7-bit octets: pure ASCII octets still have to be decoded."""

WIDE = frozenset(
    {"utf_16", "utf_16_le", "utf_16_be", "utf_32", "utf_32_le", "utf_32_be", "cp037", "cp273", "cp500", "cp1140"}
)
"""Charsets in which ASCII octets do not stand for themselves."""

FALLBACKS = {
    "cp950": ("big5hkscs",),
    "big5hkscs": ("cp950",),
    "euc_jp": ("euc_jis_2004",),
    "cp932": ("shift_jis_2004",),
    "cp949": ("johab",),
    "iso8859_8": ("cp1255",),
    "iso8859_6": ("cp1256",),
    "iso8859_7": ("cp1253",),
    "iso8859_2": ("cp1250",),
    "iso8859_13": ("cp1257",),
}
"""Charsets that extend or resemble the declared one, tried when its own octets do not fit."""


def codec_for(label: str) -> str | None:
    """Return the codec for a charset's name as mail writes it; ``None`` if the name is unknown."""
    name = label.lower().strip(" \t\r\n'\"<>;,\\=.").removeprefix("charset=").partition(",")[0].strip("'\" ")
    if name in _CODECS:
        return _CODECS[name]
    for candidate in (name.replace("_", "-"), name.replace(" ", ""), name.removeprefix("x-"), name.removeprefix("cs")):
        if candidate in _CODECS:
            return _CODECS[candidate]
    return _numbered_codec(name) or _python_codec(name)


def _python_codec(name: str) -> str | None:
    """Return Python's codec for a name, from its table of aliases. ``codecs.lookup`` would keep every name that mail
    brings in memory."""
    codec = _OF_PYTHON.get(name.translate(_UNDERSCORES))
    return _CODECS.get(codec.replace("_", "-"), codec) if codec is not None else None


_UNDERSCORES = str.maketrans("-. :", "____")
_NO_CHARSETS = frozenset(
    {"base64_codec", "bz2_codec", "hex_codec", "mbcs", "quopri_codec", "rot_13", "uu_codec", "zlib_codec"}
)
_OF_PYTHON = {
    name: codec for alias, codec in aliases.items() if codec not in _NO_CHARSETS for name in (alias.lower(), codec)
}


def _numbered_codec(name: str) -> str | None:
    """Return the codec for a name made of a family and a number: ``cp-850``, ``windows1252``, ``ibm-1252``, ``1251``,
    ``ISO 8859-15``, ``8859_1``, ``cp28605``."""
    letters = "".join(c for c in name if c.isalpha()).removeprefix("x")
    digits = "".join(c if c.isdecimal() and c.isascii() else " " for c in name).split()
    if not digits:
        return None
    if digits[0].startswith("8859") and letters in _ISO_FAMILY:
        return _CODECS.get("iso" + "".join(digits[:2]))
    if digits[0].startswith("2859") or digits[0].startswith("2860"):
        return _CODECS.get(f"iso8859-{int(digits[0]) - _ISO_CODE_PAGE_OFFSET}")
    return _CODECS.get(f"cp{digits[0]}") if letters in _CODE_PAGE_FAMILY else None


_ISO_FAMILY = frozenset({"", "iso", "isoe", "isoi", "isoo"})
_CODE_PAGE_FAMILY = frozenset(
    {
        "",
        "cp",
        "windows",
        "win",
        "ibm",
        "codepage",
        "ms",
        "msdos",
        "dos",
        "microsoftcp",
        "windowscp",
        "cswindows",
        "csibm",
    }
)
_ISO_CODE_PAGE_OFFSET = 28590
"""Windows calls ISO 8859-N code page 28590 + N."""
