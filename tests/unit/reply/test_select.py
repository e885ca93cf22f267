"""Which quotes are kept and which are cut."""

from tests.support.replies import assert_lossless, kinds, of_text


def test_the_confidence_is_that_of_the_least_sure_cut() -> None:
    reply = of_text("Hi\n\n-- \nA\n\nOn 1/5/26 10:14, A wrote:\n> x\n\n> y\n")
    assert reply.confidence == min(segment.confidence for segment in reply.segments if not segment.kept)
    assert reply.method == "text: signature, attribution (English), quote marks"


def test_quotes_are_kept_where_something_new_follows_and_cut_where_nothing_does() -> None:
    reply = of_text("> first?\n\nyes\n\n> second?\n\nno\n\n> bye\n")
    assert reply.content == "> first?\n\nyes\n\n> second?\n\nno"
    assert kinds(reply) == ["answered-quote", "new", "answered-quote", "new", "quote"]


def test_of_a_long_quote_only_what_is_answered_stays() -> None:
    reply = of_text("> a line\n" * 30 + ">\n> the question?\n\nthe answer\n")
    assert reply.content == "> the question?\n\nthe answer"
    assert_lossless(reply)


def test_only_device_line_and_quote_keep_the_whole() -> None:
    reply = of_text("Sent from my iPhone\n\n> On 5 Jan 2026, at 10:14, A <a@b.example> wrote:\n> old\n")
    assert reply.elided == ""
    assert reply.method == "text: whole, nothing else was left"
