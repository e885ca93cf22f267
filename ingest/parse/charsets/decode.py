"""Decodes bytes to text, whatever charset the sender declared.

Tried in this order: a byte order mark; UTF-8, which hardly any other text looks like; the declared charset under its
real meaning (``labels``); the charsets that other parts of the same mail declare; a detector. The first that fits every
octet wins. If none fits, the one that fits best is used, so that no letter is lost because of one bad octet beside it.
"""

import codecs
import re
from collections.abc import Callable, Iterable
from functools import cache
from typing import NamedTuple

import chardet

from ingest.parse.charsets import emoji
from ingest.parse.charsets.chinese import EUC_TW, GB18030_2005, ISO_2022_CN, decode_chinese
from ingest.parse.charsets.japanese import decode_iso2022_jp, jis_character
from ingest.parse.charsets.labels import FALLBACKS, STATEFUL, WIDE, codec_for
from ingest.parse.charsets.plausibility import is_ascii_mostly, is_misread, is_rare, is_rather_western, mixes_scripts
from ingest.parse.limits import MAX_DETECTED_BYTES

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf_8"),
    (codecs.BOM_UTF32_LE, "utf_32_le"),
    (codecs.BOM_UTF32_BE, "utf_32_be"),
    (codecs.BOM_UTF16_LE, "utf_16_le"),
    (codecs.BOM_UTF16_BE, "utf_16_be"),
)
_SENT_UNDECLARED = """
    windows-1252 windows-1250 windows-1251 windows-1253 windows-1254 windows-1255 windows-1256 windows-1257
    windows-1258 windows-874 tis-620 iso-8859-2 iso-8859-5 iso-8859-6 iso-8859-7 koi8-r koi8-u cp866 cp850 macroman
    cp932 euc-jp gb18030 big5 cp949
"""
_DETECTABLE = _SENT_UNDECLARED.split()
"""The charsets that mail without a declared charset is written in. The detector knows more of them, and mistakes short
texts for those."""
_DETECTABLE_LATIN = ["windows-1252", "windows-1250", "windows-1254", "windows-1257", "windows-1258", "iso-8859-2"]
_MANY_SEQUENCES = 4
"""This many valid multi-byte UTF-8 sequences cannot be a coincidence."""
_MULTI_BYTE = frozenset(
    {"gb18030", "cp949", "cp950", "big5hkscs", "cp932", "euc_jp", "johab", "shift_jis_2004", EUC_TW}
)
_OUR_CODECS = frozenset({EUC_TW, ISO_2022_CN})
_SURROGATES = re.compile("[\ud800-\udfff]")
_HZ = re.compile(rb"~\{(?:[!-w][!-~])+~\}")
_ASCII_LABELS = frozenset({"us-ascii", "ascii", "ansi_x3.4-1968", "7bit", "8bit", "us"})
_PLAIN = frozenset({None, "utf_8", "cp1252"})
"""Declared charsets of most ASCII text, for a short cut: such text needs no further look."""
_CNS_OR_GB = re.compile(rb"\x1b\$[)*+][AEGHIJKLM]")
"""The escape sequences of ISO-2022-CN."""
_STRAY = re.compile(rb"(?<![A-Za-z\x80-\xff])[\x81\x8d\x8f\x90\x9d](?![A-Za-z\x80-\xff])")
_PRIVATE = re.compile("[\ue000-\uf8ff]")
_CONTROLS = re.compile("[\x80-\x9f]")
_AS_CP1252 = {code: bytes((code,)).decode("cp1252", "ignore") or chr(code) for code in range(0x80, 0xA0)}
"""The characters of cp1252 that are meant by C1 control characters, which nobody types."""
_GETA = "〓"
"""The geta mark, which Japanese printers set for a character that they lack."""


class DecodedText(NamedTuple):
    """Text, the codec that decoded it, and what had to be repaired (``""`` if nothing)."""

    text: str
    codec: str
    repair: str = ""


def decode_text(octets: bytes, label: str = "", hints: Iterable[str] = ()) -> DecodedText:
    """Decode ``octets`` to text. Never fails.

    Args:
        octets: the text as sent, transfer encoding undone.
        label: the declared charset, ``""`` where none is declared.
        hints: labels of charsets that the same mail uses elsewhere, tried before detection.
    """
    declared = codec_for(label) if label else None
    if label.lower() in _ASCII_LABELS and not octets.isascii():
        declared = None  # the label is wrong, and says nothing else
    found = _by_mark(octets) or _decode_unmarked(octets, declared, hints)
    if found.codec != declared and not found.repair and not octets.isascii():
        found = found._replace(repair=_describe(label, found.codec))
    if label and declared is None and not found.repair:
        found = found._replace(repair=f"{label[:40]!r} is no known charset; read as {found.codec}")
    if found.codec == "cp932":
        found = _with_emoji(found)
    elif found.codec == "gb18030" and _PRIVATE.search(found.text):
        found = found._replace(text=found.text.translate(GB18030_2005))
    if found.codec not in ("utf_8", "ascii") and _SURROGATES.search(found.text):
        found = found._replace(text=_SURROGATES.sub("\ufffd", found.text))
    return found if found.codec == "ascii" else _without_controls(found)


def _without_controls(found: DecodedText) -> DecodedText:
    """Put the quotes and dashes of cp1252 in place of C1 controls, which a program leaves that takes octets of cp1252
    for ISO 8859 or for code points."""
    shown = found.text.translate(_AS_CP1252) if _CONTROLS.search(found.text) else found.text
    if shown == found.text:
        return found
    return found._replace(text=shown, repair=found.repair or f"{found.codec} with characters of cp1252")


def _describe(label: str, codec: str) -> str:
    return f"declared {label[:40]!r} but written in {codec}" if label else f"none declared; written in {codec}"


def _by_mark(octets: bytes) -> DecodedText | None:
    """Decode by a byte order mark, which is no part of the text; ``None`` if there is none or it lies."""
    for mark, codec in _BYTE_ORDER_MARKS:
        if octets.startswith(mark) and (codec == "utf_8" or not is_ascii_mostly(octets)):
            text = _strict(octets[len(mark) :], codec)
            return DecodedText(text, codec) if text is not None else None
    return None


def _decode_unmarked(octets: bytes, declared: str | None, hints: Iterable[str]) -> DecodedText:
    if declared in WIDE:
        wide = _decode_wide(octets, declared)
        if wide is not None:
            return wide
    if octets.isascii():
        return _decode_seven_bit(octets, declared)
    if declared in WIDE:
        declared = None
    return (
        _as_utf_8(octets, declared)
        or _as_declared(octets, declared)
        or _as_hinted(octets, hints)
        or _as_patched_utf_8(octets)
        or (_as_damaged(octets, declared) if declared == EUC_TW else None)  # which the detector does not know
        or _as_detected(octets)
        or _as_best_fit(octets, declared)
    )


def _decode_wide(octets: bytes, codec: str) -> DecodedText | None:
    """Decode UTF-16 or UTF-32 without a byte order mark: where the zeros are tells the order of octets."""
    if codec == "utf_16":
        codec = "utf_16_be" if octets[0:200:2].count(0) > octets[1:200:2].count(0) else "utf_16_le"
    elif codec == "utf_32":
        codec = "utf_32_be" if octets[:1] == b"\0" else "utf_32_le"
    is_narrow = is_ascii_mostly(octets) or (b"\0" not in octets and _strict(octets, "utf_8") is not None)
    text = None if is_narrow else _strict(octets, codec)
    return DecodedText(text, codec) if text is not None else None


def _decode_seven_bit(octets: bytes, declared: str | None) -> DecodedText:
    """Decode ASCII, or a charset that is written in ASCII octets with escape sequences."""
    if declared in _PLAIN and b"\x1b" not in octets:
        return DecodedText(octets.decode("ascii"), "ascii")
    if b"\x1b$)C" in octets:
        text, codec = _strict(octets, "iso2022_kr"), "iso2022_kr"
    elif _CNS_OR_GB.search(octets):
        return _decode_iso2022_cn(octets, declared)
    elif b"\x1b$" in octets or b"\x1b(" in octets or (declared == "iso2022_jp" and b"\x0e" in octets):
        return _decode_japanese(octets, declared)
    elif declared == "utf_7" and b"+" in octets:
        text, codec = _strict(octets, "utf_7"), "utf_7"
    elif declared in ("hz", "gb18030") and _HZ.search(octets):
        text, codec = _strict(octets, "hz"), "hz"
    else:
        return DecodedText(
            octets.decode("ascii"), "ascii", f"declared {declared} but ASCII" if declared in WIDE else ""
        )
    if text is None:
        return DecodedText(octets.decode("ascii"), "ascii", f"damaged {codec}")
    return DecodedText(text, codec, "" if codec == declared else _describe(declared or "", codec))


def _decode_japanese(octets: bytes, declared: str | None) -> DecodedText:
    """Decode ISO-2022-JP; what no table has becomes a geta mark."""
    text = decode_iso2022_jp(octets)
    if "\ufffd" in text:
        shown = text.replace("\ufffd", _GETA)
        return DecodedText(shown, "iso2022_jp", f"iso2022_jp with characters of one vendor, shown as {_GETA}")
    return DecodedText(text, "iso2022_jp", "" if declared == "iso2022_jp" else _describe(declared or "", "iso2022_jp"))


def _decode_iso2022_cn(octets: bytes, declared: str | None) -> DecodedText:
    text = decode_chinese(octets, ISO_2022_CN, "replace")
    if "\ufffd" in text:
        return DecodedText(
            text.replace("\ufffd", _GETA), ISO_2022_CN, f"iso-2022-cn with rare characters, shown as {_GETA}"
        )
    return DecodedText(text, ISO_2022_CN, "" if declared == ISO_2022_CN else _describe(declared or "", "iso-2022-cn"))


def _with_emoji(found: DecodedText) -> DecodedText:
    """Replace the emoji that three Japanese carriers put into unused codes of Shift_JIS, each in its own way. Which
    carrier was meant is a guess."""
    text, carrier = emoji.replace_carrier_emoji(found.text)
    if not carrier:
        return found
    return DecodedText(text.replace("\ufffd", _GETA), found.codec, f"cp932 with pictographs of {carrier}")


def _as_utf_8(octets: bytes, declared: str | None) -> DecodedText | None:
    """Decode valid UTF-8; ``None`` if it is none, or if the declared charset makes more sense of the same octets."""
    text = _strict(octets, "utf_8")
    if text is None:
        return _as_cesu_8(octets)
    if declared == "utf_8":
        return DecodedText(text, "utf_8")
    is_many = sum(octets.count(lead) for lead in _LEADS) >= _MANY_SEQUENCES
    is_plausible = not is_rare(text)
    if declared in (None, "cp1252"):
        return DecodedText(text, "utf_8") if is_many or is_plausible else None
    return DecodedText(text, "utf_8") if is_many and is_plausible else None


def _as_cesu_8(octets: bytes) -> DecodedText | None:
    """Decode CESU-8: UTF-8 with surrogate pairs, as Java and databases write emoji. No other charset looks like it."""
    if not _HALF.search(octets):
        return None
    try:
        wide = octets.decode("utf_8", "surrogatepass").encode("utf_16_le", "surrogatepass")
    except UnicodeError:
        return None
    return DecodedText(wide.decode("utf_16_le", "replace"), "utf_8", "UTF-8 with halves of UTF-16 in it")


_HALF = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")
_LEADS = tuple(bytes((lead,)) for lead in range(0xC2, 0xF5))


def _as_declared(octets: bytes, declared: str | None) -> DecodedText | None:
    if declared is None or declared == "utf_8":
        return None
    if declared == "iso2022_jp":
        return _decode_japanese(octets, declared) if b"\x1b" in octets else None
    for codec in _candidates(declared, octets):
        text = _LENIENT_DECODERS[codec](octets) if codec in _LENIENT_DECODERS else _strict(octets, codec)
        if text is not None and not is_misread(text, codec):
            return DecodedText(text, codec)
    return None


def _candidates(declared: str, octets: bytes) -> tuple[str, ...]:
    """Return the declared charset and those that are sent under its name; Windows code pages come first if an octet
    occurs that ISO 8859 lacks."""
    others = FALLBACKS.get(declared, ())
    is_windows = declared.startswith("iso8859") and _WINDOWS_OCTET.search(octets)
    return (*others, declared) if is_windows else (declared, *others)


_WINDOWS_OCTET = re.compile(rb"[\x80-\x9f]")


def _cp1252(octets: bytes) -> str | None:
    """Decode cp1252. The five octets that it lacks are dropped where no letter is beside them, as stray controls."""
    return _strict(_STRAY.sub(b"", octets), "cp1252")


def _euc_jp(octets: bytes) -> str | None:
    """Decode EUC-JP with the kanji of NEC and IBM, which mail has under the same label."""
    text = octets.decode("euc_jp", _error_handler(_patch_euc_jp))
    return None if "\ufffd" in text else text


_LENIENT_DECODERS = {"cp1252": _cp1252, "euc_jp": _euc_jp}


def _as_hinted(octets: bytes, hints: Iterable[str]) -> DecodedText | None:
    for hint in hints:
        codec = codec_for(hint)
        if codec and codec not in STATEFUL and codec not in WIDE and codec != "utf_8":
            text = _strict(octets, codec)
            if text is not None and not is_misread(text, codec):
                return DecodedText(text, codec)
    return None


def _as_patched_utf_8(octets: bytes) -> DecodedText | None:
    """Decode UTF-8 with some octets of another charset in it (a quoted line, a cut character), those as cp1252."""
    shown = octets.decode("utf_8", "replace")
    bad = shown.count("\ufffd")
    good = sum(not c.isascii() for c in shown) - bad
    if good < bad or 0 in (good, bad):
        return None
    text = _patched(octets, "utf_8")
    if good < _MANY_SEQUENCES * bad and is_rare(text):
        return None
    return DecodedText(text, "utf_8", "UTF-8 with octets of another charset in it")


def _as_detected(octets: bytes) -> DecodedText | None:
    """Decode with the charset that the detector finds, or with cp1252 if that is more likely."""
    sample = octets[:MAX_DETECTED_BYTES]
    guess = chardet.detect(sample, include_encodings=_DETECTABLE)
    codec = codec_for(str(guess["encoding"] or ""))
    western = _strict(sample, "cp1252")
    if codec is not None and western is not None and is_rather_western(western, codec, guess["confidence"]):
        codec = "cp1252"
    text = _strict(octets, codec) if codec is not None else None
    if codec is None or text is None:
        return None
    if mixes_scripts(text):
        return _as_latin(octets, western)
    return DecodedText(text, codec)


def _as_latin(octets: bytes, western: str | None) -> DecodedText | None:
    """Decode as a Latin charset; used if the detected charset gave letters of another script among Latin ones."""
    if western is not None:
        return DecodedText(_patched(octets, "cp1252"), "cp1252")
    guess = chardet.detect(octets[:MAX_DETECTED_BYTES], include_encodings=_DETECTABLE_LATIN)
    codec = codec_for(str(guess["encoding"] or ""))
    text = _strict(octets, codec) if codec is not None else None
    return DecodedText(text, codec) if codec is not None and text is not None else None


def _as_damaged(octets: bytes, declared: str | None) -> DecodedText | None:
    """Decode with a declared multi-byte charset of which few characters are broken; ``None`` if it is another."""
    if declared not in _MULTI_BYTE:
        return None
    errors = _error_handler(_patch_euc_jp) if declared == "euc_jp" else "replace"
    if not _is_mostly_valid(_decode(octets[:MAX_DETECTED_BYTES], declared, errors)):
        return None
    text = _decode(octets, declared, errors)
    return DecodedText(text, declared, f"{declared} with damaged characters") if _is_mostly_valid(text) else None


def _is_mostly_valid(text: str) -> bool:
    return text.count("\ufffd") * 10 <= len(text)


def _as_best_fit(octets: bytes, declared: str | None) -> DecodedText:
    damaged = _as_damaged(octets, declared)
    if damaged is not None:
        return damaged
    if declared is not None and declared not in _MULTI_BYTE | STATEFUL | WIDE and declared != "utf_8":
        return DecodedText(
            octets.decode(declared, _error_handler(_patch_cp1252)),
            declared,
            f"{declared} with octets that it does not have",
        )
    return DecodedText(_patched(octets, "cp1252"), "cp1252", "no charset fits; read as cp1252")


def _strict(octets: bytes, codec: str) -> str | None:
    try:
        return _decode(octets, codec)
    except (UnicodeError, ValueError):
        return None


def _decode(octets: bytes, codec: str, errors: str = "strict") -> str:
    """Decode with a codec of Python or, for the two that it lacks, with ours."""
    return decode_chinese(octets, codec, errors) if codec in _OUR_CODECS else octets.decode(codec, errors)


def _patched(octets: bytes, codec: str) -> str:
    """Decode with ``codec``, each octet that it lacks as cp1252."""
    return octets.decode(codec, _error_handler(_patch_cp1252))


@cache
def _error_handler(patch: Callable[[UnicodeError], tuple[str, int]]) -> str:
    """Return the name under which ``bytes.decode`` finds ``patch``; the first call registers it."""
    name = f"ingest.{patch.__name__}"
    codecs.register_error(name, patch)
    return name


def _patch_cp1252(error: UnicodeError) -> tuple[str, int]:
    """Error handler: decode one octet as cp1252; the five that it lacks are dropped."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.start + 1].decode("cp1252", "ignore"), error.start + 1


def _patch_euc_jp(error: UnicodeError) -> tuple[str, int]:
    """Error handler: decode a pair of octets by the vendors' rows of JIS X 0208."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    pair = error.object[error.start : error.start + 2]
    if len(pair) == 2 and min(pair) >= 0xA1:
        return jis_character(pair), error.start + 2
    return "\ufffd", error.start + 1
