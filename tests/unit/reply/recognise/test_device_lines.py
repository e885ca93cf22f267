"""Lines that a telephone or a mail program adds."""

import pytest

from ingest.reply.recognise.device_lines import is_device_line
from tests.support.replies import of_text


@pytest.mark.parametrize(
    "line",
    [
        "Sent from my iPhone",
        "Von meinem iPad gesendet",
        "发自我的手机",
        "Get Outlook for iOShttps://aka.example/a",
        "iOS용 Outlook 받기",
    ],
)
def test_a_device_line_goes_at_the_end_and_stays_in_the_middle(line: str) -> None:
    assert of_text(f"Yes\n\n{line}\n").content == "Yes"
    assert line in of_text(f"Your app adds this:\n\n{line}\n\nHow do I switch it off?").content


@pytest.mark.parametrize(
    ("line", "is_device"),
    [
        ("Sent from my spaceship", False),
        ("Sent from my X200", True),
        ("Sent from my cellar", False),
        ("Sent from my cell", True),
        ("Sent from my honorary consulate", False),
        ("Sent from my old address, please ignore it.", False),
        ("Von meiner Mutter am Montag gesendet.", False),
        ("Von meinem Handy am Montag gesendet.", False),
        ("Envoyé depuis mon entrepôt lundi.", False),
        ("Wysłane z mojego biura wczoraj.", False),
        ("发自我的旧地址", False),
        ("발신: 내 사무실에서 보냄", False),
        ("Sent from the mobile clinic in Graz.", False),
        ("Sent by phone to Sam this morning.", False),
        ("Sent with Proton Mail secure email.", True),
        ("Poslano s mog mobitela", True),
        ("Στάλθηκε από το κινητό μου", True),
        ("发自我的小米", True),
        ("Sent via the blue printer", False),
        ("Sent via Nokia", True),
        ("From my phone", True),
        ("From my phone I can see neither the picture nor the table", False),
        ("Sent from my phone?", False),
        ("Sent from my phone, which I bought last year in a shop in the town of my aunt", False),
        ("Enviado desde mi teléfono", True),
        ("\N{CANADIAN SYLLABICS FINAL MIDDLE DOT}", True),
        ("", False),
    ],
)
def test_a_device_line_has_a_phrase_and_a_device_and_is_short(line: str, is_device: bool) -> None:
    assert is_device_line(line) is is_device
