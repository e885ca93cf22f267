"""Which parts are the body, and how it is put together."""

import pytest

from ingest.model.defects import DefectKind
from ingest.parse import parse
from ingest.parse.limits import MAX_BODY_OCTETS
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


def test_a_further_form_is_attached_where_it_is_the_only_one_or_stands_in_no_alternative() -> None:
    amp = entity("text/x-amp-html; charset=utf-8", "<html amp4email><p>Hello</p></html>")
    for kind, text in (("alternative", plain(" ")), ("mixed", plain("Hi"))):
        assert only(parse(mail(multipart(kind, text, amp)))).content_type == "text/x-amp-html"


def test_a_footer_after_an_alternative_is_in_both_forms() -> None:
    message = parse(
        mail(multipart("mixed", multipart("alternative", plain("Hi"), html("<p>Hi</p>")), plain("-- list")))
    )
    assert message.text == "Hi\n-- list"
    assert [said in (message.html or "") for said in ("<p>Hi</p>", "-- list")] == [True, True]


def test_several_texts_are_joined() -> None:
    message = parse(mail(multipart("mixed", plain("one"), PDF, plain("two"))))
    assert message.text == "one\ntwo"


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


def test_enriched_text_loses_its_marks_alone() -> None:
    markup = "<bold>Now</bold> <color><param>red</param>a << b</color>"
    assert parse(mail(entity("text/enriched", markup))).text == "Now a < b"


@pytest.mark.parametrize(
    ("delsp", "sent", "read"),
    [
        ("no", "one \r\ntwo\r\nthree", "one two\nthree"),
        ("yes", "日本 \r\n語 \r\nです", "日本語です"),
        ("no", "> quoted \r\n> text\r\nmine", "> quoted text\nmine"),
        ("no", ">> deep \r\n> less", ">> deep \n> less"),
        ("no", "Bye\r\n-- \r\nAlice", "Bye\n-- \nAlice"),
        ("no", " From stuffed\r\n >not a quote", "From stuffed\n>not a quote"),
    ],
)
def test_flowed_text_is_put_together_again(delsp: str, sent: str, read: str) -> None:
    message = parse(mail(entity(f"text/plain; charset=utf-8; format=flowed; delsp={delsp}", sent)))
    assert message.text == read


@pytest.mark.parametrize("wrapped", [False, True], ids=["plain", "base64"])
def test_an_attached_mail_is_a_file_and_not_the_body(wrapped: bool) -> None:
    inner = b"From: bob@b.example\r\nSubject: Old mail\r\n\r\nold text\r\n"
    part = in_base64("message/rfc822", inner) if wrapped else entity("message/rfc822", inner)
    content = mail(multipart("mixed", plain("see attached"), part))
    message = parse(content)
    assert message.text == "see attached"
    assert (only(message).filename, only(message).content_type) == ("Old mail.eml", "message/rfc822")
    assert attachment(content, only(message).part_number).rstrip() == inner.rstrip()


def test_the_parts_of_a_digest_are_mails() -> None:
    digest = multipart("digest", b"\r\nSubject: one\r\n\r\nfirst", b"\r\nSubject: two\r\n\r\nsecond")
    message = parse(mail(digest))
    assert message.text is None
    assert [each.filename for each in message.attachments] == ["one.eml", "two.eml"]


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


def test_an_encrypted_mail_is_called_so_and_kept() -> None:
    parts = (
        entity("application/pgp-encrypted", "Version: 1"),
        entity("application/octet-stream", "-----BEGIN PGP MESSAGE-----"),
    )
    message = parse(mail(multipart('encrypted; protocol="application/pgp-encrypted"', *parts)))
    assert (message.text, len(message.attachments)) == (None, 2)
    assert DefectKind.ENCRYPTED in defect_kinds(message)


def test_an_encrypted_text_is_called_so() -> None:
    assert DefectKind.ENCRYPTED in defect_kinds(
        parse(mail(plain("-----BEGIN PGP MESSAGE-----\n\nhQEMA\n-----END PGP MESSAGE-----\n")))
    )


def test_a_text_signed_in_line_is_read_without_its_armour() -> None:
    armoured = (
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nHello,\n- -- \nAlice\n"
        "-----BEGIN PGP SIGNATURE-----\n\niQEz\n-----END PGP SIGNATURE-----\nlist footer\n"
    )
    message = parse(mail(plain(armoured)))
    assert message.text == "Hello,\n-- \nAlice\nlist footer\n"
    assert DefectKind.BODY in defect_kinds(message)


def test_a_uuencoded_file_in_the_text_is_a_file() -> None:
    content = mail(plain("See this:\n\nbegin 644 hello.txt\n%2&5L;&\\\n`\nend\n\nBye\n"))
    message = parse(content)
    assert message.text == "See this:\n\n\n\nBye\n"
    assert (only(message).filename, only(message).size) == ("hello.txt", 5)
    assert attachment(content, only(message).part_number) == b"Hello"


def test_words_that_look_like_the_start_of_a_uuencoded_file_stay() -> None:
    text = "We\nbegin 644 weeks from now\nand end\n"
    message = parse(mail(plain(text)))
    assert (message.text, message.attachments) == (text, ())


@pytest.mark.parametrize(
    "kind", ["multipart/mixed", 'multipart/mixed; boundary="never seen"', "multipart/mixed; boundary="]
)
def test_a_multipart_whose_boundary_is_missing_is_cut_at_the_one_it_has(kind: str) -> None:
    first = "--real\r\nContent-Type: text/plain\r\n\r\nHello\r\n"
    lines = first + "--real\r\nContent-Type: application/pdf\r\n\r\n%PDF\r\n--real--\r\n"
    message = parse(mail(entity(kind, lines)))
    assert message.text == "Hello"
    assert only(message).content_type == "application/pdf"
    assert DefectKind.STRUCTURE in defect_kinds(message)


def test_a_multipart_that_is_none_is_read_as_text() -> None:
    assert parse(mail(entity("multipart/mixed", "just words\r\n"))).text == "just words\n"


def test_a_multipart_without_any_type_is_still_seen() -> None:
    content = mail(
        b"--x\r\nContent-Type: text/plain\r\n\r\nHello\r\n--x\r\nContent-Type: text/html\r\n\r\n<p>x</p>\r\n--x--\r\n"
    )
    assert "Content-Type" not in (parse(content).html or parse(content).text or "")


def test_a_mail_copied_below_a_text_does_not_make_the_text_a_multipart() -> None:
    copy = multipart("alternative", plain("the old mail"), html("<p>the old mail</p>"))
    message = parse(mail(b"Sorry, we could not deliver this:\r\n\r\nSubject: old\r\n" + copy))
    assert (message.text or "").startswith("Sorry, we could not deliver this:")
    assert "the old mail" in (message.text or "")


def test_a_mail_cut_off_in_a_part_is_read_as_far_as_it_goes() -> None:
    content = mail(multipart("mixed", plain("Hello"), plain("and more")))
    message = parse(content[: content.index(b"and more") + 5])
    assert message.text == "Hello\nand m"
    assert DefectKind.STRUCTURE in defect_kinds(message)


def test_a_part_of_its_own_boundary_prefix_does_not_end_the_outer_one() -> None:
    inner = multipart("alternative", plain("Hello"), html("<p>Hello</p>"), boundary="abc-1")
    message = parse(mail(multipart("mixed", inner, PDF, boundary="abc")))
    assert (message.text, message.html, only(message).filename) == ("Hello", "<p>Hello</p>", "a.pdf")


def test_parts_after_the_closing_boundary_are_read() -> None:
    content = mail(multipart("mixed", plain("Hello"), boundary="x")) + b"--x\r\n" + PDF + b"\r\n--x--\r\n"
    assert only(parse(content)).filename == "a.pdf"


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


def test_a_multipart_in_base64_is_opened() -> None:
    inner = multipart("mixed", plain("Hello"), PDF, boundary="x").partition(b"\r\n\r\n")[2]
    message = parse(mail(in_base64('multipart/mixed; boundary="x"', inner)))
    assert (message.text, only(message).filename) == ("Hello", "a.pdf")


@pytest.mark.parametrize(
    ("name", "sent", "read"),
    [
        ("7-bit", "Hello", "Hello"),
        ("8bit;", "Hello", "Hello"),
        ("text/html", "Hello", "Hello"),
        ("x-nobody-knows", "Hello", "Hello"),
        ("Quoted Printable", "Gr=C3=B6=C3=9Fe", "Größe"),
        ("quoted-printable", "one= \r\n two=\r\n three", "one two three"),
        ("quoted-printable", "50 % =ZZ =", "50 % =ZZ "),
        ("BASE64", "R3LDtsOfZQ", "Größe"),
        ("base64", "R3LDtsOfZQ=\r\n=", "Größe"),
        ("base64", "R3LDts!OfZQ==", "Größe"),
        ("base64", "R3I=\r\nw7bDn2U=\r\n", "Größe"),
        ("base64", "R3LDtsOfZQ==\r\n_____\r\nlist footer here\r\n", "Größe\n_____\nlist footer here\n"),
        (
            "base64",
            "SGVsbG8gdGhlcmU=\r\n-- \r\nSee https://a.example/?b=1 here\r\n",
            "Hello there\n-- \nSee https://a.example/?b=1 here\n",
        ),
        ("base64", "SGVsbG8h\r\n" * 9 + "Sent with care by Us\r\n", "Hello!" * 9 + "\nSent with care by Us\n"),
        (
            "base64",
            "T0ssIHRoYW5rcyE=\r\n_____\r\nThe list of all who print\r\n",
            "OK, thanks!\n_____\nThe list of all who print\n",
        ),
        ("base64", "Test\r\n\r\nThis is no base64 at all.", "Test\n\nThis is no base64 at all."),
        ("base64", "SGVsbG8hSGVs bG8hSGVsbG8h\r\n" * 2, "Hello!" * 6),
        ("base64", "This is not base64 at all, it is text.", "This is not base64 at all, it is text."),
        ("x-uuencode", "begin 644 x\r\n%2&5L;&\\\r\n`\r\nend\r\n", "Hello"),
    ],
)
def test_a_transfer_encoding_is_undone_under_any_name_and_with_any_fault(name: str, sent: str, read: str) -> None:
    message = parse(mail(entity("text/plain; charset=utf-8", sent, f"Content-Transfer-Encoding: {name}")))
    assert message.text == read


def test_an_unknown_transfer_encoding_is_a_defect() -> None:
    assert DefectKind.ENCODING in defect_kinds(
        parse(mail(entity("text/plain", "Hello", "Content-Transfer-Encoding: x-rot")))
    )


@pytest.mark.parametrize(
    "declared", ["", "text", "text/", "plain", "garbage", "text/plain charset=utf-8", ";charset=utf-8", "///"]
)
def test_a_broken_type_is_text(declared: str) -> None:
    assert parse(mail(f"Content-Type: {declared}\r\n\r\nGrüße")).text == "Grüße"


def test_a_text_over_the_limit_is_cut_and_attached_whole() -> None:
    text = "word " * (MAX_BODY_OCTETS // 5 + 1000)
    content = mail(multipart("mixed", plain(text)))
    message = parse(content)
    assert len(message.text or "") == MAX_BODY_OCTETS
    assert only(message).size == len(text)
    assert DefectKind.CUT in defect_kinds(message)


def test_the_same_mail_by_two_paths_has_one_digest_and_other_text_another() -> None:
    def digest(text: str, *, end: bytes = b"\r\n", trace: bytes = b"") -> str:
        return parse(trace + mail(plain(text)).replace(b"\r\n", end)).content_digest

    assert digest("Hello \nAlice\n") == digest("Hello\nAlice", end=b"\n", trace=b"Received: from x\n")
    assert digest("Hello") != digest("Hello you")


def test_rtf_as_the_body_itself_is_read() -> None:
    message = parse(mail(entity("text/rtf", "{\\rtf1\\ansi Hello \\'e9\\par there}")))
    assert (message.text or "").split() == ["Hello", "é", "there"]


@pytest.mark.parametrize(
    "fields",
    [
        ("Content-Transfer-Encoding: base64 (by a gateway)",),
        ("Content-Transfer-Encoding: 8bit", "Content-Transfer-Encoding: base64"),
        ("Content-Transfer-Encoding: base64", "Content-Transfer-Encoding: 8bit"),
    ],
    ids=["a comment", "the second field", "the first field"],
)
def test_the_transfer_encoding_that_means_something_counts(fields: tuple[str, ...]) -> None:
    assert (
        parse(mail(entity("text/plain; charset=utf-8", "R3LDvMOfZSBhdXMgQmVybGlu", *fields))).text == "Grüße aus Berlin"
    )


def test_a_program_that_adds_cr_to_each_line_end_costs_nothing() -> None:
    content = mail(multipart("mixed", plain("one\r\ntwo"), in_base64("image/png", b"\x89PNG\r\r\n")), "Subject: Hi")
    message = parse(content.replace(b"\r\n", b"\r\r\n"))
    assert (message.subject, message.text) == ("Hi", "one\ntwo")
    assert attachment(content.replace(b"\r\n", b"\r\r\n"), only(message).part_number) == b"\x89PNG\r\r\n"
