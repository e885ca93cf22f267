"""What is posted is safe to render, and reads as it was written."""

import random
import re
from html import unescape

import pytest
from markdown_it import MarkdownIt

from ingest.api.records import comparable_text
from ingest.compose import MissingAttachment, compose_appendix, compose_content
from ingest.compose.invisible import WORD_JOINER
from ingest.compose.markdown_safety import MAX_READ_CHARACTERS, safe_markdown
from ingest.model.message import Address, Attachment, ParsedMessage, Reply
from ingest.reply import extract
from tests.support.complexity import ENDS_WITHIN_SECONDS
from tests.support.replies import fixtures, of_text

RENDERER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
RENDERER.validateLink = lambda url: True  # type: ignore[method-assign]  # the one that trusts what it is given
SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
HARMLESS = re.compile(r"(?:https?|mailto|tel|sms|ftp):", re.IGNORECASE)
MENTION = re.compile(
    r"<!(?:channel|here|everyone)|<[@#][A-Z0-9]|(?<![\w.@/+-])@(?:channel|here|everyone|all)\b(?![.@-]\w)"
)
BELOW = "This is what we add below."
ALICE = Address(display_name="Alice", addr_spec="alice@customer.example")


def posted(content: str, *, sender: Address | None = None, plain: bool = False, subject: str = "") -> str:
    message = ParsedMessage(message_id=None, from_=(sender or ALICE,), subject=subject)
    reply = Reply(content=content, elided="", method="")
    return compose_content(message, reply, names_sender=sender is not None, plain=plain)


def danger_in(content: str) -> str:
    """Say what could harm somebody who looks at a content; ``""`` if nothing could."""
    if MENTION.search(content) or re.search("[\u202d\u202e]", content):
        return "a mention, or letters turned round"
    tokens = RENDERER.parse(f"{content}\n\n{BELOW}")
    for block in tokens:
        for token in (block, *(block.children or ())):
            if token.type in ("html_block", "html_inline"):
                return f"raw HTML: {token.content}"
            source, target = str(token.attrGet("src") or ""), re.sub(r"[\0- ]", "", str(token.attrGet("href") or ""))
            if source and not source.startswith("cid:"):
                return f"a picture that is fetched: {source}"
            if SCHEME.match(target) and not HARMLESS.match(target):
                return f"a link: {target}"
    is_apart = len(tokens) > 2 and tokens[-2].content == BELOW and tokens[-3].level == 0
    return "" if is_apart else "what stands below is swallowed"


def seen(content: str) -> str:
    """What a reader sees of a rendered content, without invisible signs."""
    return unescape(re.sub(r"<[^<>]*>", "", RENDERER.render(content))).replace(WORD_JOINER, "").strip()


DANGEROUS = [
    "<script>alert(1)</script>",
    'a <img src="x" onerror="alert(1)"> b',
    "<a href=javascript:alert(1)>click</a>",
    "<div>\n```\n</div>\n\n```\n<script>x</script>\n```",
    "<!-- hidden",
    "<?php ?>",
    "[x](javascript:alert(1))",
    "[x](<javascript:alert(1)>)",
    "[x](\njavascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](javascript&colon;alert(1))",
    "[x](javascript\\:alert(1))",
    "[x](data:text/html;base64,xx)",
    "[x](vbscript:x)",
    "[x](search-ms:x)",
    "[x][r]\n\n[r]: javascript:x",
    "[x][r]\n\n> [r]:\n> data:x 'title'",
    "<javascript:alert(1)>",
    "![x](http://t.example/p.gif)",
    "![x][r]\n\n[r]: https://t.example/p.gif",
    "[![x](https://t.example/p.gif)](https://u.example/)",
    "![x](data:image/png;base64,xx)",
    "`a\n\n<script>`",
    "``a `<script>` ` <b>",
    "\\\\<script>",
    "- a\n  ```\n\n  ```\n  <script>\n",
    "> ```\n<script>",
    "- a\n\n    <script>",
    "para\n    <script>",
    "a\n2. ```\n\n   ```\n   <script>",
    "```\nnever closed",
    "   ~~~ text\nnever closed",
    "<!channel> and <!here|here> and <@U123ABC> and <#C123|general>",
    "@channel @here, please",
    "`<!channel>`",
    "```\n<!everyone>\n```",
    "exe\u202egpj.",
]


@pytest.mark.parametrize("text", DANGEROUS)
def test_what_is_dangerous_is_posted_without_its_effect(text: str) -> None:
    assert danger_in(text)
    assert danger_in(posted(text)) == ""


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("use <config> here", "use \\<config> here"),
        ("![x](http://t.example/p.gif)", "!\\[x](http://t.example/p.gif)"),
        ("[x](javascript:y)", "[x\\](javascript:y)"),
        ("`<b>` and <b>", "`<b>` and \\<b>"),
        ("```xml\n<config>\n```\n<b>", "```xml\n<config>\n```\n\\<b>"),
        ("Like so:\n\n    <config>\n\nand <b>", "Like so:\n\n    <config>\n\nand \\<b>"),
        ("> ```\n> <config>\n> ```\n<b>", "> ```\n> <config>\n> ```\n\\<b>"),
    ],
)
def test_one_backslash_is_all_that_is_added_and_code_stays_as_it_was(text: str, content: str) -> None:
    assert posted(text) == content


@pytest.mark.parametrize(
    "text",
    [
        "a < b and c > d, x<1, 5 <6, <3",
        "2 * 3 * 4, snake_case, __init__, #1 and 1. and - and ~",
        "<alice@customer.example> and <https://a.example/x?y=1> and https://b.example/_x_",
        "[docs](https://a.example/) and [mail](mailto:a@b.example) and [1] and list[0](x)",
        "sshd[123]: error: PAM failed\n[12:01]: note: disk full",
        "| a | b |\n|---|---|\n| 1 | <- here |",
        "  /\\_/\\\n ( o.o )\n  > ^ <",
        "```\nif a < b: print('<b>')\n```",
        "C:\\dir\\file.txt and \\\\server\\share",
        "write to channel@a.example, ask @alice",
        "\u05e9\u05dc\u05d5\u05dd \u202a+972 50\u202c",
        "> quoted\n\nanswer!",
        "![lamp](cid:x@y)",
    ],
)
def test_ordinary_text_is_posted_as_it_was_written(text: str) -> None:
    assert posted(text) == text


@pytest.mark.parametrize("text", ["vector<int> a", "a <b> c", "<config>\n  <x/>\n</config>", "if (a <b) then c> d"])
def test_signs_in_prose_are_seen_as_they_were_written(text: str) -> None:
    assert seen(posted(text)).split() == text.split()


def test_no_reply_of_the_fixtures_is_changed() -> None:
    changed = [fixture.name for fixture in fixtures() if posted(content := fixture.reply().content or "x") != content]
    assert changed == []


def test_a_sign_behind_a_url_is_not_escaped_by_a_backslash_that_the_url_would_swallow() -> None:
    assert posted("https://a.example/<script>") == f"https://a.example/<{WORD_JOINER}script>"
    assert posted("https://a.example/\\<script>") == f"https://a.example/\\<{WORD_JOINER}script>"


def test_a_fence_that_is_left_open_is_closed() -> None:
    assert posted("look:\n~~~~\ncode") == "look:\n~~~~\ncode\n~~~~"


def test_plain_content_keeps_its_signs_but_calls_nobody() -> None:
    assert posted("<b> ![x](http://a.example) <!channel>", plain=True) == (
        f"<b> ![x](http://a.example) <{WORD_JOINER}!channel>"
    )


def test_the_name_of_the_sender_cannot_do_anything() -> None:
    name = "<script> ![x](http://t.example) <!channel> @here\u202e\n\n# Title" + "x" * 1000
    content = posted("Hello", sender=Address(display_name=name, addr_spec="a@b.example"))
    assert danger_in(content) == ""
    assert content.count("\n") == 2
    assert len(content) < 500


def test_a_url_in_the_name_of_the_sender_does_not_swallow_what_makes_a_tag_harmless() -> None:
    content = posted("Hello", sender=Address(display_name="http://a.example/<script>", addr_spec="a@b.example"))
    assert f"\\<{WORD_JOINER}script" in content


def test_a_subject_that_is_posted_for_want_of_text_is_safe() -> None:
    assert danger_in(posted("", subject="<script> ``` <!here>")) == ""


def test_file_names_in_the_lines_below_are_safe() -> None:
    attachment = Attachment(
        part_number=1, filename="a`b<!channel>\u202egpj.exe\n# x", content_type="text/plain", size=1, sha256="0"
    )
    lines = compose_appendix([MissingAttachment(attachment=attachment, reason="too large")])
    assert danger_in(lines) == ""
    assert "\n#" not in lines


@pytest.mark.parametrize("text", [text for text in DANGEROUS if "\u202e" not in text])
def test_a_text_and_what_is_posted_of_it_have_one_fingerprint(text: str) -> None:
    assert comparable_text(posted(text)) == comparable_text(text)


@pytest.mark.parametrize("text", ["<script>", "use <b> here", "[x](javascript:y) now", "<!here> you", "```\n<b>x"])
def test_a_server_that_renders_what_is_posted_has_the_same_words(text: str) -> None:
    assert comparable_text(RENDERER.render(posted(text))) == comparable_text(posted(text))


def test_a_post_of_ours_with_escapes_is_recognised_where_it_is_quoted_back() -> None:
    written = "Please put <div> and <config key=1> into [the file](search-ms:x) and tell @channel about it today."
    sent = posted(written)
    assert sent != written
    for quoted in (seen(sent), sent):
        message = ParsedMessage(message_id=None, text=f"Done.\n\n{quoted}\n", in_reply_to=("a@b.example",))
        assert extract(message, sent=[sent]).content == "Done."
        assert (
            of_text(f"Done.\n\nOn Mon, Jan 5, 2026 at 10:14 AM Sam <s@desk.example> wrote:\n> {quoted}\n").content
            == "Done."
        )


_PIECES = (
    *("<script>", "</script>", "<img src=x onerror=y>", "<b", "<!--", "-->", "<![CDATA[", "<https://a.example/>"),
    *("<a@b.example>", "<javascript:x>", "[x](javascript:y)", "[x](<javascript:y>)", "[x](\njavascript:y)"),
    *("[x][r]", "\n[r]: javascript:y\n", "\n[r]:\n data:y", "![a](http://t.example/p.gif)", "![r][r]"),
    *("[![a](http://t.example)](", "\n[r]: http://t.example/x 'title'\n", "<!channel>", "<@U123>", "<#C12>"),
    *("@here", "```", "~~~", "````", "`", "``", "\n```\n", "\n  ```\n", "\n   ~~~\n", "\n- ```\n", "\n2. ```\n"),
    *("\n> ```\n", "\n>> ```\n", "\n    ", "\n\t", "\n\n", "\n\n    ", "\n", "\n- ", "\n1. ", "\n2) ", "\n> "),
    *("\n>", "  ", "    ", "\t", "|", "\n|a|b|\n|-|-|\n|", "\\", "\\`", "!", "[", "]", "(", ")", "](", ":", "#"),
    *("\n# ", "\n---\n", "\n===\n", "word", "*", "_", "javascript&colon;", "data:x", "\u202e", "\u2066", "\u202c"),
    *("\r", "\x0c", "\xa0", "\u2060", "<", ">", "&lt;", "\n[^1]: ", "\n* * *\n", "\n+ ", "![n](cid:x)"),
    *("http://a.example", "http://a.example\\<b>", "\n     ", "\n   ", "x\n"),
)


@pytest.mark.no_cover
def test_no_text_of_twenty_thousand_is_dangerous() -> None:
    chance = random.Random(20)
    for _ in range(20_000):
        text = "".join(chance.choices(_PIECES, k=chance.randint(1, chance.choice((3, 6, 12)))))
        content = posted(text or "x")
        assert danger_in(content) == "", repr(text)


def test_a_long_text_is_safe_and_fast() -> None:
    text = "<b>`<script>![x](http://t.example)[y](javascript:z)\n- ```\n" * (MAX_READ_CHARACTERS // 55 + 1)
    assert danger_in(posted(text)) == ""


@pytest.mark.timeout(ENDS_WITHIN_SECONDS)
@pytest.mark.no_cover
@pytest.mark.parametrize("piece", ["<b", "](", "]:", "![", "`<b> ", "<a.b", "- ```x\n<b>", "> ", "\\", "\u202a", "1. "])
def test_time_grows_with_the_size_only(piece: str) -> None:
    text = (piece * MAX_READ_CHARACTERS)[: MAX_READ_CHARACTERS - 3] + "<b>"
    safe_markdown(text)
