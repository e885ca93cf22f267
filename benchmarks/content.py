"""How well the new text of a reply is found, and how fast, beside the libraries that others use.

    python -m benchmarks.content [CORPORA] [--show NAME]

Our own fixtures are read always. CORPORA is a folder with public test suites, for measuring only:
``reply-pairs/emails`` and ``reply-pairs/trimmed`` (texts of replies and what should stay of them), and folders of mails
(``*.eml``), whose parts are checked one by one against the standard library's parser.

Printed: exact matches (white space aside), characters lost and left over, every miss of ours with its reason, and mails
a second beside mail-parser alone.
"""

import argparse
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

import mailparser
import quotequail
from email_reply_parser import EmailReplyParser
from mailparser_reply import EmailReplyParser as MailReplyParser
from mailparser_reply.constants import MAIL_LANGUAGES

from benchmarks.content_parts import check_parts
from ingest.model.message import ParsedMessage
from ingest.parse import parse
from ingest.reply import extract

FIXTURES = Path(__file__).parent.parent / "fixtures"
LIMIT_SECONDS = 10
"""A reader that takes longer for one text has failed; ours takes milliseconds, and some take minutes."""
ACCEPTED_MISSES = {
    "forwarded_apple": "a forwarded mail is content; the pair cuts it",
    "forwarded_gmail": "a forwarded mail is content; the pair cuts it",
    "forwarded_message": "the forwarded mail keeps its header, so that one sees whose words they are",
    "spam_1": "nothing but quotes: kept whole, where the pair leaves nothing at all",
}


@dataclass(frozen=True)
class Pair:
    """A reply, and the text that should stay of it."""

    name: str
    body: str
    expected: str
    subject: str = ""
    sent: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
    html: bool = False


@dataclass
class Score:
    """How well a reader did on a set of pairs: texts met exactly, characters lost and left over, and failures."""

    exact: int = 0
    lost: int = 0
    left_over: int = 0
    failed: int = 0


class TooSlow(Exception):
    """A reader took longer than ``LIMIT_SECONDS``."""


def ours(pair: Pair) -> str:
    message = ParsedMessage(
        message_id=None,
        subject=pair.subject,
        text=None if pair.html else pair.body,
        html=pair.body if pair.html else None,
    )
    return extract(message, pair.sent, pair.written).content


def mail_parser_reply(pair: Pair) -> str:
    languages = [language for language in MAIL_LANGUAGES if language != "david"]
    return str(MailReplyParser(languages=languages).parse_reply(text=pair.body))


def email_reply_parser(pair: Pair) -> str:
    return str(EmailReplyParser.parse_reply(pair.body))


def quotequail_quote(pair: Pair) -> str:
    return "\n".join(text for new, text in quotequail.quote(pair.body) if new)


READERS: Sequence[tuple[str, Callable[[Pair], str]]] = (
    ("ours", ours),
    ("mail-parser-reply", mail_parser_reply),
    ("email-reply-parser", email_reply_parser),
    ("quotequail", quotequail_quote),
)


def corpus_pairs(folder: Path) -> list[Pair]:
    return [
        Pair(path.stem, path.read_text("utf-8"), (folder / "trimmed" / path.name).read_text("utf-8"))
        for path in sorted((folder / "emails").iterdir())
    ]


def fixture_pairs() -> list[Pair]:
    return [_fixture(path) for path in sorted((FIXTURES / "replies").iterdir()) if path.suffix in (".txt", ".html")]


def _fixture(path: Path) -> Pair:
    def beside(suffix: str) -> str:
        other = path.with_suffix(suffix)
        return other.read_text("utf-8") if other.exists() else ""

    return Pair(
        name=path.stem,
        body=path.read_text("utf-8"),
        expected=beside(".expected"),
        subject=beside(".subject").strip() or "Re: [TAI-42] Printer",
        sent=tuple(beside(".sent").split("---\n")),
        written=tuple(beside(".written").split("---\n")),
        html=path.suffix == ".html",
    )


def score(read: Callable[[Pair], str], pairs: Iterable[Pair]) -> tuple[Score, list[str]]:
    """Return the score of one reader and the names of the pairs that it missed."""
    result, missed = Score(), []
    for pair in pairs:
        try:
            content = _in_time(read, pair)
        except Exception:  # what a library raises, or its time-out, is a miss of that library
            content = ""
            result.failed += 1
        lost, left_over = differences(pair.expected, content)
        result.lost += lost
        result.left_over += left_over
        if "".join(content.split()) == "".join(pair.expected.split()):
            result.exact += 1
        else:
            missed.append(pair.name)
    return result, missed


def _in_time(read: Callable[[Pair], str], pair: Pair) -> str:
    """Run a reader with a time limit: some of them take minutes on a few kilobytes."""

    def stop(*_: object) -> None:
        raise TooSlow

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(LIMIT_SECONDS)
    try:
        return read(pair)
    finally:
        signal.alarm(0)


def differences(expected: str, content: str) -> tuple[int, int]:
    """Return how many characters of expected words are missing, and how many of the found words were not expected."""
    wanted, found = expected.split(), content.split()
    matching = SequenceMatcher(None, wanted, found, autojunk=False).get_matching_blocks()
    common = sum(len(word) for block in matching for word in wanted[block.a : block.a + block.size])
    return sum(map(len, wanted)) - common, sum(map(len, found)) - common


def compare(title: str, pairs: Sequence[Pair], readers: Sequence[tuple[str, Callable[[Pair], str]]]) -> list[str]:
    """Print the scores of all readers on one set, and return the names of the pairs that ours missed."""
    print(f"\n{title}: {len(pairs)}\n{'':<20}{'exact':>8}{'lost':>10}{'left over':>11}{'failed':>8}")
    missed_by_us: list[str] = []
    for name, read in readers:
        result, missed = score(read, pairs)
        print(f"{name:<20}{result.exact:>8}{result.lost:>10}{result.left_over:>11}{result.failed:>8}")
        if read is ours:
            missed_by_us = missed
    for name in missed_by_us:
        print(f"  not as expected: {name}: {ACCEPTED_MISSES.get(name, 'no reason: ours is wrong')}")
    return missed_by_us


def _mails_a_second(work: Callable[[bytes], object], contents: Sequence[bytes]) -> float:
    best = 0.0
    for _ in range(3):
        begun = time.perf_counter()
        for content in contents:
            work(content)
        best = max(best, len(contents) / (time.perf_counter() - begun))
    return best


def _read_all(content: bytes) -> object:
    return extract(parse(content))


def _parse_or_not(content: bytes) -> object:
    try:
        return mailparser.parse_from_bytes(content)
    except Exception:  # it raises on broken mails; the time until then counts for it
        return None


def speed(title: str, contents: Sequence[bytes]) -> None:
    """Print how many mails a second are parsed and read, beside mail-parser alone."""
    theirs = _mails_a_second(_parse_or_not, contents)
    mine = _mails_a_second(_read_all, contents)
    print(f"{title:<34}{len(contents):>6}{theirs:>14.0f}{mine:>14.0f}{mine / theirs:>8.2f}")


def main() -> None:
    """Run the comparisons and print them."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("corpora", nargs="?", type=Path, help="folder of public test suites")
    arguments.add_argument("--show", metavar="NAME", help="print what ours makes of one pair or fixture")
    given = arguments.parse_args()
    own = fixture_pairs()
    public = corpus_pairs(given.corpora / "reply-pairs") if given.corpora else []
    if given.show:
        print(*(ours(pair) for pair in (*own, *public) if pair.name == given.show))
        return
    if public:
        compare("public pairs", public, READERS)
    compare("our fixtures, text", [pair for pair in own if not pair.html], READERS)
    compare("our fixtures, HTML", [pair for pair in own if pair.html], READERS[:1])
    print(f"\n{'mails a second':<34}{'mails':>6}{'mail-parser':>14}{'parse+reply':>14}{'ratio':>8}")
    speed("our fixtures", [path.read_bytes() for path in sorted((FIXTURES / "mails").glob("*.eml"))])
    for folder in sorted({path.parent for path in given.corpora.rglob("*.eml")} if given.corpora else ()):
        speed(folder.name, [path.read_bytes() for path in sorted(folder.glob("*.eml"))])
    if given.corpora:
        check_parts(sorted(given.corpora.rglob("*.eml")))


if __name__ == "__main__":
    main()
