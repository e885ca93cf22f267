"""Rich text: decompressed, and turned into HTML or text."""

import struct

import pytest

from ingest.parse import parse
from tests.support.mime import entity, mail
from tests.support.tnef import attribute, prop, props, tnef, winmail

RTF_FROM_HTML = (
    rb"{\rtf1\ansi\ansicpg1252\fromhtml1 \deff0{\fonttbl{\f0 Arial;}}"
    rb"{\*\htmltag19 <html>}{\*\htmltag64 <p>}\htmlrtf {\htmlrtf0 Gr\'f6\'dfe \u8364? & more"
    rb"\htmlrtf\par}\htmlrtf0 {\*\htmltag72 </p>}}"
)
RTF = rb"{\rtf1\ansi\ansicpg1251{\fonttbl{\f0 Arial;}}\f0 \'cf\'f0\'e8\'e2\'e5\'f2\par \{one\}\tab two\~three\par}"


@pytest.mark.parametrize(
    ("rich", "text", "markup"),
    [(RTF_FROM_HTML, None, "<html><p>Größe € & more</p>\n"), (RTF, "Привет\n{one}\ttwo\xa0three\n", None)],
    ids=["made from HTML", "plain"],
)
def test_a_body_that_exists_only_as_rich_text_is_read(rich: bytes, text: str | None, markup: str | None) -> None:
    stored = struct.pack("<IIII", len(rich) + 12, len(rich), 0x414C454D, 0) + rich
    message = parse(mail(winmail(tnef(attribute(1, 0x9003, props(prop(0x102, 0x1009, stored)))))))
    assert (message.text, message.html) == (text, markup)


def test_compressed_rich_text_is_read() -> None:
    """The example of MS-OXRTFCP section 4.1.1."""
    stored = bytes.fromhex(
        "2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a800fa0"
    )
    message = parse(mail(winmail(tnef(attribute(1, 0x9003, props(prop(0x102, 0x1009, stored)))))))
    assert message.text == "hello world\n"


def test_rtf_as_the_body_itself_is_read() -> None:
    message = parse(mail(entity("text/rtf", "{\\rtf1\\ansi Hello \\'e9\\par there}")))
    assert (message.text or "").split() == ["Hello", "é", "there"]
