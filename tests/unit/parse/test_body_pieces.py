"""Pieces of the body: joined to a text and to HTML."""

import pytest

from ingest.parse import parse
from tests.support.mime import html, in_base64, mail, multipart, only, plain

PNG = in_base64("image/png", b"\x89PNG\r\n", "Content-ID: <logo@a>", 'Content-Disposition: inline; filename="logo.png"')
PDF = in_base64('application/pdf; name="a.pdf"', b"%PDF", "Content-Disposition: attachment")


def test_text_picture_text_stay_in_order_and_the_place_of_the_picture_is_marked() -> None:
    message = parse(mail(multipart("mixed", plain("before\r\n"), PNG, plain("after\r\n"))))
    assert message.text == "before\n[logo.png]\nafter\n"
    assert only(message).filename == "logo.png"


def test_apples_html_around_a_picture_is_one_html_with_the_picture_in_its_place() -> None:
    body = multipart("mixed", html("<p>before</p>"), PNG, html("<p>after</p>"))
    message = parse(mail(multipart("alternative", plain("before\n\nafter"), body)))
    assert message.text == "before\n\nafter"
    before, picture, after = (message.html or "").partition('<img src="cid:logo@a"')
    assert ("before" in before, bool(picture), "after" in after) == (True, True, True)
    assert only(message).inline


def test_html_between_texts_leaves_the_text_form_out_rather_than_incomplete() -> None:
    message = parse(mail(multipart("mixed", plain("first & <foremost>\nline"), html("<p>second</p>"), plain("third"))))
    assert message.text is None
    for said in ("first &amp; &lt;foremost&gt;<br>", "<p>second</p>", "third"):
        assert said in (message.html or "")


def test_a_footer_after_an_alternative_is_in_both_forms() -> None:
    message = parse(
        mail(multipart("mixed", multipart("alternative", plain("Hi"), html("<p>Hi</p>")), plain("-- list")))
    )
    assert message.text == "Hi\n-- list"
    assert [said in (message.html or "") for said in ("<p>Hi</p>", "-- list")] == [True, True]


def test_several_texts_are_joined() -> None:
    message = parse(mail(multipart("mixed", plain("one"), PDF, plain("two"))))
    assert message.text == "one\ntwo"


def test_a_picture_without_content_id_is_tied_to_its_place_by_a_name_of_ours() -> None:
    picture = in_base64("image/png", b"\x89PNG", "Content-Disposition: inline")
    message = parse(mail(multipart("mixed", html("<p>before</p>"), picture, html("<p>after</p>"))))
    shown = only(message)
    assert (shown.content_id, shown.inline) == ("part2", True)
    assert f'<img src="cid:{shown.content_id}"' in (message.html or "")


@pytest.mark.parametrize(
    "body",
    [
        multipart("mixed", html("<html><body><p>one</p></body></html>"), html("<HTML><p>two</p></HTML>")),
        html("<html><body><p>one</p></body></html>\r\n<p>two</p>"),
        html("<html><body><p>one</p></BODY></HTML\t>\r\n<html><head></head><body><p>two</p></body></html>"),
    ],
    ids=["two parts", "a footer of a server", "two documents in one part"],
)
def test_html_that_goes_on_after_its_end_is_one_document(body: bytes) -> None:
    markup = parse(mail(body)).html or ""
    assert "</html" not in markup.lower()
    assert "two" in markup[markup.index("one") :]


def test_html_that_ends_where_it_ends_stays_as_it_is() -> None:
    assert parse(mail(html("<html><body>one</body></html>\r\n"))).html == "<html><body>one</body></html>\n"


def test_a_picture_that_the_body_does_not_show_gets_no_name_of_ours() -> None:
    message = parse(mail(multipart("mixed", plain("before"), in_base64("image/png", b"\x89PNG"))))
    assert only(message).content_id == ""
