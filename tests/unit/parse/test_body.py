"""Which parts are the body, and how it is put together."""

import pytest

from ingest.model.defects import DefectKind
from ingest.parse import parse
from ingest.parse.limits import MAX_BODY_BYTES
from tests.support.mime import attachment, defect_kinds, entity, html, in_base64, mail, multipart, only, plain

PNG = in_base64("image/png", b"\x89PNG\r\n", "Content-ID: <logo@a>", 'Content-Disposition: inline; filename="logo.png"')
PDF = in_base64('application/pdf; name="a.pdf"', b"%PDF", "Content-Disposition: attachment")


def test_alternative_gives_text_and_html() -> None:
    message = parse(mail(multipart("alternative", plain("Hello"), html("<p>Hello</p>"))))
    assert (message.text, message.html, message.attachments) == ("Hello", "<p>Hello</p>", ())


def test_related_gives_its_root_and_ties_the_pictures_to_it() -> None:
    body = multipart("related", html('<p>See <img src="cid:logo@a"></p>'), PNG)
    message = parse(mail(multipart("alternative", plain("See"), body)))
    assert message.html == '<p>See <img src="cid:logo@a"></p>'
    assert (only(message).content_id, only(message).inline, only(message).filename) == ("logo@a", True, "logo.png")


def test_the_root_of_related_may_be_named_and_stand_last() -> None:
    root = entity("text/html", "<p>root</p>", "Content-ID: <root@a>")
    message = parse(mail(multipart('related; start="<root@a>"', PNG, root)))
    assert message.html == "<p>root</p>"


def test_a_picture_can_be_referred_to_by_its_location() -> None:
    picture = in_base64("image/gif", b"GIF", "Content-Location: http://a.example/1.gif")
    message = parse(mail(multipart("related", html('<img src="http://a.example/1.gif">text'), picture)))
    assert only(message).inline


def test_a_further_form_is_attached_where_it_is_the_only_one_or_stands_in_no_alternative() -> None:
    amp = entity("text/x-amp-html; charset=utf-8", "<html amp4email><p>Hello</p></html>")
    for kind, text in (("alternative", plain(" ")), ("mixed", plain("Hi"))):
        assert only(parse(mail(multipart(kind, text, amp)))).content_type == "text/x-amp-html"


def test_a_named_text_is_the_body_where_no_text_came_before() -> None:
    message = parse(mail(entity('text/plain; name="message.txt"', "my reply")))
    assert (message.text, message.attachments) == ("my reply", ())


def test_a_named_text_after_the_body_is_a_file() -> None:
    log = entity('text/plain; name="error.log"', "stack trace", "Content-Disposition: inline")
    message = parse(mail(multipart("mixed", plain("see the log"), log)))
    assert (message.text, only(message).filename) == ("see the log", "error.log")


def test_text_sent_as_a_file_is_not_the_body() -> None:
    notes = entity("text/plain", "notes", 'Content-Disposition: attachment; filename="notes.txt"')
    message = parse(mail(multipart("mixed", notes)))
    assert (message.text, only(message).filename) == (None, "notes.txt")


def test_the_only_text_is_the_body_though_it_is_marked_as_an_attachment_without_a_name() -> None:
    message = parse(mail(multipart("mixed", entity("text/plain", "my reply", "Content-Disposition: attachment"), PDF)))
    assert (message.text, only(message).filename) == ("my reply", "a.pdf")
    assert DefectKind.BODY in defect_kinds(message)


def test_two_different_texts_in_an_alternative_are_both_kept() -> None:
    message = parse(
        mail(multipart("alternative", plain("The toner is empty."), plain("Printer number 7, second floor")))
    )
    assert message.text == "The toner is empty.\nPrinter number 7, second floor"


def test_a_text_in_an_alternative_that_repeats_most_words_but_not_all_is_kept() -> None:
    first, second = (
        "The printer on the second floor is out of toner.",
        "The printer on the third floor is out of order.",
    )
    message = parse(mail(multipart("alternative", plain(first), plain(second), html(f"<p>{first}</p>"))))
    assert [said in f"{message.text}" for said in (first, second)] == [True, True]
    assert [said in f"{message.html}" for said in (first, second)] == [True, True]


def test_two_different_html_parts_of_an_alternative_are_both_kept_and_the_text_form_is_left_out() -> None:
    footer = html("<p>This mail is confidential.</p>")
    message = parse(mail(multipart("alternative", plain("Hello"), html("<p>Hello</p>"), footer)))
    assert message.text is None
    assert ["Hello" in f"{message.html}", "confidential" in f"{message.html}"] == [True, True]


def test_nothing_of_an_alternative_whose_forms_all_differ_is_lost() -> None:
    parts = plain("one two three"), html("<p>four five six</p>"), html("<p>seven eight nine</p>")
    message = parse(mail(multipart("alternative", *parts)))
    assert [said in f"{message.html}" for said in ("one two", "four five", "seven eight")] == [True] * 3


def test_the_same_words_in_further_forms_of_an_alternative_are_there_once() -> None:
    enriched = entity("text/enriched", "<bold>Hello</bold> Sam")
    marked = entity("text/markdown", "**Hello** Sam")
    phone = html("<div>hello Sam</div>")
    message = parse(mail(multipart("alternative", plain("Hello Sam"), marked, enriched, phone, html("<p>Hello Sam"))))
    assert (message.text, message.html) == ("Hello Sam", "<p>Hello Sam")


def test_other_forms_for_other_programs_are_neither_body_nor_files() -> None:
    amp = entity("text/x-amp-html", "<html amp4email></html>")
    message = parse(mail(multipart("alternative", plain("Hi"), amp, html("<p>Hi</p>"))))
    assert (message.html, message.attachments) == ("<p>Hi</p>", ())


@pytest.mark.parametrize("wrapped", [False, True], ids=["plain", "base64"])
def test_an_attached_mail_is_a_file_and_not_the_body(wrapped: bool) -> None:
    inner = b"From: bob@b.example\r\nSubject: Old mail\r\n\r\nold text\r\n"
    part = in_base64("message/rfc822", inner) if wrapped else entity("message/rfc822", inner)
    content = mail(multipart("mixed", plain("see attached"), part))
    message = parse(content)
    assert message.text == "see attached"
    assert (only(message).filename, only(message).content_type) == ("Old mail.eml", "message/rfc822")
    assert attachment(content, only(message).part_number).rstrip() == inner.rstrip()


@pytest.mark.parametrize(
    "kind", ["application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature"]
)
def test_a_signature_is_no_file_that_a_person_sent_and_its_absence_is_told(kind: str) -> None:
    signature = entity(f'{kind}; name="signature"', "-----BEGIN PGP SIGNATURE-----")
    message = parse(mail(multipart(f'signed; protocol="{kind}"', plain("Hello"), signature)))
    assert (message.text, message.attachments) == ("Hello", ())
    assert DefectKind.SIGNATURE in defect_kinds(message)


def test_a_file_that_only_calls_itself_a_signature_is_kept() -> None:
    large = in_base64('application/pkcs7-signature; name="smime.p7s"', bytes(80_000))
    small = entity('application/pgp-signature; name="release.asc"', "-----BEGIN PGP SIGNATURE-----")
    message = parse(mail(multipart("mixed", multipart("signed", plain("Hello"), large), small)))
    assert [each.filename for each in message.attachments] == ["smime.p7s", "release.asc"]


def test_an_encrypted_mail_is_called_so_and_kept() -> None:
    parts = (
        entity("application/pgp-encrypted", "Version: 1"),
        entity("application/octet-stream", "-----BEGIN PGP MESSAGE-----"),
    )
    message = parse(mail(multipart('encrypted; protocol="application/pgp-encrypted"', *parts)))
    assert (message.text, len(message.attachments)) == (None, 2)
    assert DefectKind.ENCRYPTED in defect_kinds(message)


def test_what_was_signed_is_read_though_the_signature_stands_first() -> None:
    signature = entity("application/pgp-signature", "-----BEGIN PGP SIGNATURE-----")
    message = parse(mail(multipart("signed", signature, plain("Hello"))))
    assert (message.text, message.attachments, defect_kinds(message)) == ("Hello", (), {DefectKind.SIGNATURE})


def test_pgp_mime_whose_type_a_server_changed_is_still_named_as_encrypted() -> None:
    version = entity('application/pgp-encrypted; name="PGPMIME Versions Identification"', "Version: 1")
    data = in_base64('application/octet-stream; name="encrypted.asc"', b"-----BEGIN PGP MESSAGE-----\n")
    message = parse(mail(multipart("mixed", plain("\r\n"), version, data)))
    assert DefectKind.ENCRYPTED in defect_kinds(message)
    assert message.attachments[-1].filename == "encrypted.asc"


def test_a_text_over_the_limit_is_cut_and_attached_whole() -> None:
    text = "word " * (MAX_BODY_BYTES // 5 + 1000)
    content = mail(multipart("mixed", plain(text)))
    message = parse(content)
    assert len(message.text or "") == MAX_BODY_BYTES
    assert only(message).size == len(text)
    assert DefectKind.CUT in defect_kinds(message)


def test_a_program_that_adds_cr_to_each_line_end_costs_nothing() -> None:
    content = mail(multipart("mixed", plain("one\r\ntwo"), in_base64("image/png", b"\x89PNG\r\r\n")), "Subject: Hi")
    message = parse(content.replace(b"\r\n", b"\r\r\n"))
    assert (message.subject, message.text) == ("Hi", "one\ntwo")
    assert attachment(content.replace(b"\r\n", b"\r\r\n"), only(message).part_number) == b"\x89PNG\r\r\n"
