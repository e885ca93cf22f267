"""Decodes the Chinese charsets that Python has no codec for: EUC-TW, and ISO-2022-CN with its extension (RFC 1922).
Also has the characters that Python's codec for GB 18030 lacks.

EUC-TW and ISO-2022-CN write the characters of CNS 11643, the standard of Taiwan, which has those of Big5 in almost the
same order: first all of Big5's first level, then the second. So a short table of runs maps one to the other, and
Python's codec for Big5 does the rest. Planes 3 and up hold characters that Big5 never had; they are not decoded.
"""

import re
from collections.abc import Iterator
from functools import cache

GB18030_2005 = str.maketrans(
    dict(zip("\ue78d\ue78e\ue78f\ue790\ue791\ue792\ue793\ue794\ue795\ue796", "︐︒︑︓︔︕︖︗︘︙", strict=True))
    | dict(zip("\ue81e\ue826\ue82b\ue82c\ue832\ue843\ue854\ue864", "龴龵龶龷龸龹龺龻", strict=True))
    | {"\ue5e5": "\u3000", "\ue7c7": "ḿ"}
)
"""Characters that Unicode added after Python's codec was written, as the Encoding Standard maps them: the private-use
character that the codec gives, and the one that is meant."""
_RUNS = """
    0:0:5 6:6:15 21:23:2 24:22 29:29:44 73:74 74:73 75:75:21 98:98 100:100:27 127:128 128:127 130:130:14 146:146:2
    148:149 149:148 150:150:4 155:21 156:156:78 282:234:29 312:264 314:266:142 470:6101:20 3290:471:17 3307:263
    3308:489:86 3394:265 3395:576:1307 4702:1884:424 5126:1883 5127:2308:1876 7003:4571 7004:4184:387
    7391:4572:525 7916:5286 7917:5097:105 8023:5203:83 8106:5287:84 8190:5517 8191:5371:54 8245:5426 8246:5425
    8247:5427:90 8337:5518:354 8836:6280:10 8846:6291:33 8879:6372 8880:6324:48 8928:6373:46 8974:6586
    8975:6419:167 9142:6587:1840 10982:9074 10983:8428:108 11091:8537:537 11628:8427 11629:9075:100 11729:8536
    11730:9175:399 12129:9575:1637 13766:11761 13767:11212:146 13913:11899 13914:11358:287 14201:12508
    14202:11645:116 14318:11762:137 14455:11900:104 14559:12425 14560:12004:222 14782:12227:198 14980:12426:82
    15062:12509:86 15148:12226 15149:12595:8 15157:12604:153 15310:12758:56 15366:13114 15367:12814:113
    15480:12603 15481:12927:142 15623:12757 15624:13069:45 15669:13115:71 15740:13380 15741:13186:194
    15935:13381:490 16425:13914 16426:13871:43 16469:13915 16470:13917:11 16481:13916 16482:13928:4 16486:175
    16487:175 16488:175 16489:175 16490:175 16491:175 16492:175 16493:175 16494:175 16495:175 16496:175 16497:175
    16498:175 16499:175 16500:175 16501:175 16502:175 16503:175 16504:175 16505:175 16506:175 16507:175 16508:175
    16509:175 16510:175 16511:175 16512:175 16513:175 16514:175 16515:175 16516:175 16517:175 16518:175 16519:175
    16520:175 16521:175 16522:175 16523:175 16524:175 16525:175 16526:175 16527:175 16528:175 16529:175 16530:175
    16531:175 16532:175 16533:175 16534:175 16535:175 16536:175 16537:175 16538:175 16539:175 16540:175 16541:175
    16542:175 16543:175
"""
"""``index in CNS : index in Big5 : length`` of each run, the length left out where it is 1. An index counts the codes
from the first: 94 times 94 for each plane of CNS, 157 for each first octet of Big5 from A1."""
_NOT_IN_BIG5 = {
    5: "・",
    23: "︲",
    96: "‾",
    129: "∼",
    144: "♁☉",
    154: "‖",
    490: "ⅰⅱⅲⅳⅴⅵⅶⅷⅸⅹ",
    571: "亠",
    578: "冫",
    583: "勹",
    3102: "".join(map(chr, [*range(0x2400, 0x2420), 0x2421])),
    8022: "彞",
}
"""Characters of CNS that Big5 lacks, by the index of the first of a run."""
_CODES_PER_PLANE = 94 * 94
"""Each plane has 94 rows of 94 cells (ISO 2022)."""
_TRAILS = (*range(0x40, 0x7F), *range(0xA1, 0xFF))
"""Second octets of Big5, in order."""
_EUC_TW = re.compile(rb"[\0-\x7f]+|\x8e[\xa1-\xb0][\xa1-\xfe]{2}|(?:[\xa1-\xfe]{2})+|[\x80-\x8d\x8f-\xa0\xff]+|.")
_ISO_2022_CN = re.compile(rb"\x1b\$[)*+][A-Z]|\x1b[NO][!-~]{2}|[\x0e\x0f]|[\r\n]+|[^\x1b\x0e\x0f\r\n]+")
_PLANES = {b"G": 1, b"H": 2, b"I": 3, b"J": 4, b"K": 5, b"L": 6, b"M": 7}
"""Last octets of the escapes that name a plane of CNS; A and E name GB 2312 and its extension ISO-IR-165."""
_SINGLE_SHIFT, _LEADS = 0x8E, range(0xA1, 0xFF)
_MISSING = "\ufffd"


@cache
def _table() -> dict[int, str]:
    """Return the characters of planes 1 and 2 of CNS 11643 by their index."""
    found = {}
    for run in _RUNS.split():
        start, other, length = (*map(int, run.split(":")), 1)[:3]
        for offset in range(length):
            lead, trail = divmod(other + offset, len(_TRAILS))
            found[start + offset] = bytes((0xA1 + lead, _TRAILS[trail])).decode("cp950")
    for start, characters in _NOT_IN_BIG5.items():
        found.update(enumerate(characters, start))
    return found


def _characters(plane: int, octets: bytes) -> str:
    """Decode characters of a plane of CNS 11643, two octets each; their eighth bits do not matter."""
    table, start = _table(), (plane - 1) * _CODES_PER_PLANE - 0x21 * 95
    pairs = zip(octets[0::2], octets[1::2], strict=False)
    text = "".join([table.get(start + (row & 0x7F) * 94 + (cell & 0x7F), _MISSING) for row, cell in pairs])
    return text + _MISSING * (len(octets) % 2)


def _pieces_of_euc_tw(octets: bytes) -> Iterator[str]:
    """Decode EUC-TW token by token; what the table lacks becomes U+FFFD."""
    return (_euc_tw(token[0]) for token in _EUC_TW.finditer(octets))


def _euc_tw(token: bytes) -> str:
    if token[0] < 0x80:
        return token.decode("ascii")
    if token[0] == _SINGLE_SHIFT and len(token) > 1:
        return _characters(token[1] - 0xA0, token[2:])
    return _characters(1, token) if token[0] in _LEADS and len(token) % 2 == 0 else _MISSING * len(token)


def _pieces_of_iso2022_cn(octets: bytes) -> Iterator[str]:
    """Decode ISO-2022-CN token by token; what the table lacks becomes U+FFFD. A line end resets all escapes."""
    sets: dict[bytes, bytes] = {}
    shifted = False
    for found in _ISO_2022_CN.finditer(octets):
        token = found[0]
        if token.startswith(b"\x1b$"):
            sets[token[2:3]] = token[3:]
        elif token.startswith(b"\x1b"):
            yield _pairs(token[2:], sets.get(b"*" if token[1:2] == b"N" else b"+", b""))
        elif token in (b"\x0e", b"\x0f"):
            shifted = token == b"\x0e"
        elif token[:1] in b"\r\n":
            sets, shifted = {}, False
            yield token.decode("ascii")
        else:
            yield _pairs(token, sets.get(b")", b"")) if shifted else token.decode("ascii", "replace")


def _pairs(octets: bytes, final: bytes) -> str:
    """Decode characters of two octets each; ``final`` is the last octet of the escape that chose their set."""
    if final in (b"A", b"E"):
        return bytes(octet | 0x80 for octet in octets).decode("gb18030", "replace")
    plane = _PLANES.get(final)
    return _characters(plane, octets) if plane else _MISSING * ((len(octets) + 1) // 2)


EUC_TW, ISO_2022_CN = "euc_tw", "iso2022_cn"
"""Our names for these charsets. Python's codec registry does not know them: ``decode_chinese`` reads them."""
_PIECES = {EUC_TW: _pieces_of_euc_tw, ISO_2022_CN: _pieces_of_iso2022_cn}


def decode_chinese(octets: bytes, codec: str, errors: str = "strict") -> str:
    """Decode ``octets`` of ``EUC_TW`` or ``ISO_2022_CN``.

    Args:
        octets: the encoded text.
        codec: one of the two names.
        errors: ``strict``, or ``replace`` for U+FFFD in place of what the table lacks.

    Raises:
        UnicodeDecodeError: ``errors`` is ``strict`` and the table lacks a character. It is raised at the first one,
            because most text that is tried is of another charset.
    """
    pieces = []
    for piece in _PIECES[codec](octets):
        if errors == "strict" and _MISSING in piece:
            raise UnicodeDecodeError(codec, octets, 0, len(octets), "the table lacks a character")
        pieces.append(piece)
    return "".join(pieces)
