"""Plain text, HTML and enriched text: what they say, and the charset that HTML declares."""

import pytest

from ingest.model.defects import DefectKind
from ingest.parse import parse
from tests.support.mime import defect_kinds, entity, html, in_base64, mail, multipart, plain


def test_html_names_its_charset_itself_where_the_field_does_not() -> None:
    markup = '<html><meta http-equiv="Content-Type" content="text/html; charset=koi8-r"><p>Да</p>'
    assert "Да" in (parse(mail(entity("text/html", markup.encode("koi8_r")))).html or "")


def test_html_names_its_charset_where_the_field_is_wrong() -> None:
    markup = '<meta charset="windows-1251"><p>Да</p>'
    message = parse(mail(in_base64("text/html; charset=us-ascii", markup.encode("cp1251"))))
    assert "Да" in (message.html or "")
    assert DefectKind.CHARSET in defect_kinds(message)


@pytest.mark.parametrize("blank", ["", " \r\n\r\n", "\xa0\u200b\r\n"])
def test_a_blank_text_beside_html_is_no_text(blank: str) -> None:
    message = parse(mail(multipart("alternative", plain(blank), html("<p>Hello</p>"))))
    assert (message.text, message.html) == (None, "<p>Hello</p>")


def test_blank_html_beside_a_text_is_no_html() -> None:
    markup = "<html><head><style>p {color: red}</style><title>t</title></head><body><p>&nbsp;</p></body></html>"
    message = parse(mail(multipart("alternative", plain("Hello"), html(markup))))
    assert (message.text, message.html) == ("Hello", None)


def test_html_with_a_picture_alone_is_not_blank() -> None:
    assert parse(mail(html('<html><body><img src="cid:x"></body></html>'))).html is not None


@pytest.mark.parametrize(
    "stub",
    [
        "View this email in your browser: https://a.example/1",
        "Your e-mail client does not support HTML messages.",
        "This is an HTML email. Please use an HTML capable mail program.",
        "Diese Nachricht im Browser ansehen",
        "Si vous ne voyez pas cet e-mail, ouvrez-le dans votre navigateur",
        "To view this message, please use an HTML compatible email viewer!",
    ],
)
def test_a_text_that_only_says_to_look_at_the_html_is_no_text(stub: str) -> None:
    body = "<p>Thank you for your patience, the invoice is attached and the amount has been corrected as you asked.</p>"
    message = parse(mail(multipart("alternative", plain(stub), html(body))))
    assert (message.text, message.html) == (None, body)


def test_a_short_answer_that_speaks_of_a_browser_is_a_text() -> None:
    message = parse(
        mail(multipart("alternative", plain("I see it in my browser."), html("<p>I see it in my browser.</p>")))
    )
    assert message.text == "I see it in my browser."


def test_enriched_text_loses_its_marks_alone() -> None:
    markup = "<bold>Now</bold> <color><param>red</param>a << b</color>"
    assert parse(mail(entity("text/enriched", markup))).text == "Now a < b"
