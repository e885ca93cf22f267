"""Reading mail from files: which files, where one mail ends, the exact octets, the envelope."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.sources import replay
from ingest.sources.replay import FileMail, ReplayError, SkippedMail

LIMIT = 1_000_000
FROM = b"From alice@customer.example Mon Nov 23 08:15:00 2026\n"
MAIL = b"From: alice@customer.example\nTo: help@mail.ravenna.example\nSubject: hi\n\nText\n"


def found(*paths: Path, limit: int = LIMIT) -> list[FileMail | SkippedMail]:
    return list(replay.read_mails(paths, limit=limit))


def contents(path: Path) -> list[bytes]:
    return [mail.content for mail in found(path) if isinstance(mail, FileMail)]


def mbox(tmp_path: Path, octets: bytes) -> Path:
    path = tmp_path / "a.mbox"
    path.write_bytes(octets)
    return path


def maildir(folder: Path) -> Path:
    for name in ("cur", "new", "tmp"):
        (folder / name).mkdir(parents=True)
    return folder


def envelope(content: bytes, mbox_sender: str = "") -> tuple[str, tuple[str, ...]]:
    mail = FileMail(path="x", content=content, mbox_sender=mbox_sender)
    taken = replay.received_message(mail, received_at=1.0).envelope
    return taken.mail_from, taken.rcpt_tos


# Where one mail ends, and its octets


@pytest.mark.parametrize(
    "octets", [MAIL, MAIL.replace(b"\n", b"\r\n"), b"", b"\x00\xff", b"no end of line", FROM + MAIL]
)
def test_a_single_message_is_kept_to_the_octet(tmp_path: Path, octets: bytes) -> None:
    path = tmp_path / "one.eml"
    path.write_bytes(octets)
    assert contents(path) == [octets]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_an_mbox_is_split_at_its_from_lines_and_keeps_its_line_ends(tmp_path: Path, end: bytes) -> None:
    mails = [MAIL, MAIL.replace(b"Text", b"Other\n\nText")]
    stored = b"".join(FROM + mail + b"\n" for mail in mails).replace(b"\n", end)
    assert contents(mbox(tmp_path, stored)) == [mail.replace(b"\n", end) for mail in mails]


def test_mails_of_an_mbox_are_numbered_from_one(tmp_path: Path) -> None:
    path = mbox(tmp_path, (FROM + MAIL + b"\n") * 2)
    assert [mail.path for mail in found(path)] == [f"{path}#1", f"{path}#2"]


def test_an_mbox_without_a_last_blank_line_loses_nothing(tmp_path: Path) -> None:
    assert contents(mbox(tmp_path, FROM + MAIL)) == [MAIL]


def test_one_sign_of_a_quoted_from_line_is_taken_off_and_only_at_the_start_of_a_line(tmp_path: Path) -> None:
    stored = FROM + b"A: b\n\n>From x\n>>From y\n> From z\n >From w\n>Fromage\n\n"
    assert contents(mbox(tmp_path, stored)) == [b"A: b\n\nFrom x\n>From y\n> From z\n >From w\n>Fromage\n"]


@pytest.mark.parametrize(
    "line",
    [
        b"From here on it is easy\n",
        b"From 08:00 to 09:30 we are closed\n",
        b"From: bob@x.example Mon Nov 23 08:15:00 2026\n",
    ],
)
def test_a_line_of_text_that_begins_with_from_splits_nothing(tmp_path: Path, line: bytes) -> None:
    text = b"A: b\n\n" + line + b"more\n"
    assert contents(mbox(tmp_path, FROM + text + b"\n" + FROM + MAIL + b"\n")) == [text, MAIL]


def test_a_from_line_in_the_middle_of_a_paragraph_splits_nothing(tmp_path: Path) -> None:
    text = b"A: b\n\nas in\n" + FROM
    assert contents(mbox(tmp_path, FROM + text + b"\n")) == [text]


@pytest.mark.parametrize(
    "line",
    [
        b"From - Mon Nov 23 08:15:00 2026\n",
        b"From MAILER-DAEMON Fri Jul  8 12:08:34 2011\n",
        b"From 1696339472613361043@xxx Wed Dec 15 17:49:14 +0000 2021\n",
        b"From alice@customer.example  Mon, 23 Nov 2026 08:15 2026\r\n",
    ],
)
def test_from_lines_of_many_programs_are_known(tmp_path: Path, line: bytes) -> None:
    assert contents(mbox(tmp_path, line + MAIL + b"\n" + line + MAIL)) == [MAIL, MAIL]


def test_a_line_longer_than_a_piece_is_kept_and_what_follows_a_piece_is_no_start_of_a_line(tmp_path: Path) -> None:
    piece = replay._LINE_BYTES
    text = b"A: b\n\n" + b"x" * piece + b">From inside\n" + b"y" * piece + b"\n" + FROM + b"z\n"
    assert contents(mbox(tmp_path, FROM + text + b"\n" + FROM + MAIL)) == [text, MAIL]


@given(
    st.lists(st.sampled_from([b"a\n", b"\n", b"From x\n", b">From x\n", b">>From \n", b"\r\n", b"b\r\n"]), max_size=8)
)
def test_what_is_written_as_mboxrd_is_read_back_to_the_octet(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    mail = b"A: b\n\n" + b"".join(lines) + b"end\n"
    quoted = b"".join(
        b">" + line if line.lstrip(b">").startswith(b"From ") else line for line in mail.splitlines(keepends=True)
    )
    path = mbox(tmp_path_factory.mktemp("mbox"), (FROM + quoted + b"\n") * 2)
    assert contents(path) == [mail, mail]


# Limits


def test_a_mail_above_the_limit_is_told_and_the_next_one_is_read(tmp_path: Path) -> None:
    path = mbox(tmp_path, FROM + MAIL + b"x\n" * 5000 + b"\n" + FROM + MAIL + b"\n")
    big, small = found(path, limit=4000)
    assert isinstance(big, SkippedMail)
    assert "INGEST_MAX_MESSAGE_BYTES" in big.reason
    assert small == FileMail(path=f"{path}#2", content=MAIL, mbox_sender="alice@customer.example")


@pytest.mark.parametrize(("over", "taken"), [(0, True), (1, False)])
def test_the_limit_is_the_largest_mail_that_is_taken(tmp_path: Path, over: int, taken: bool) -> None:
    path = tmp_path / "a.eml"
    path.write_bytes(b"x" * (100 + over))
    (mail,) = found(path, limit=100)
    assert isinstance(mail, FileMail) is taken


def test_what_cannot_be_opened_is_told_and_the_rest_is_read(tmp_path: Path) -> None:
    (tmp_path / "b.eml").write_bytes(MAIL)
    first, second = found(tmp_path / "gone.eml", tmp_path / "b.eml")
    assert first == SkippedMail(path=str(tmp_path / "gone.eml"), reason="No such file or directory")
    assert isinstance(second, FileMail)


# Which files


def test_a_maildir_gives_its_new_and_old_mails_and_not_those_half_delivered(tmp_path: Path) -> None:
    folder = maildir(tmp_path / "Maildir")
    (folder / "cur" / "1.a:2,S").write_bytes(b"old")
    (folder / "new" / "2.b").write_bytes(b"new")
    (folder / "tmp" / "3.c").write_bytes(b"half")
    (folder / "dovecot.index").write_bytes(b"index")
    sub = maildir(folder / ".Archive")
    (sub / "cur" / "4.d").write_bytes(b"archived")
    assert sorted(contents(folder)) == [b"archived", b"new", b"old"]


def test_a_folder_gives_its_mails_in_the_order_of_their_names_and_tells_what_is_no_mail(tmp_path: Path) -> None:
    (tmp_path / "b.eml").write_bytes(b"2")
    (tmp_path / "a.EML").write_bytes(b"1")
    (tmp_path / "a.expected.json").write_bytes(b"{}")
    (tmp_path / "Inbox").write_bytes(FROM + MAIL)
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "c.eml").write_bytes(b"3")
    assert contents(tmp_path) == [MAIL, b"1", b"2", b"3"]
    (foreign,) = (item for item in found(tmp_path) if isinstance(item, SkippedMail))
    assert (foreign.path, foreign.foreign) == (str(tmp_path / "a.expected.json"), True)


def test_a_file_that_is_named_is_mail_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / "message.txt").write_bytes(MAIL)
    assert contents(tmp_path / "message.txt") == [MAIL]


def test_a_pipe_in_a_folder_stops_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.eml")
    (tmp_path / "z.eml").write_bytes(MAIL)
    assert contents(tmp_path) == [MAIL]


def test_a_missing_path_is_told_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match="gone: no such file or folder"):
        replay.check_paths([tmp_path, tmp_path / "gone"])


def test_the_octets_of_all_files_are_the_end_of_the_progress_bar(tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_bytes(b"123")
    (tmp_path / "b.eml").write_bytes(b"4567")
    assert replay.total_bytes([tmp_path, tmp_path / "a.eml"]) == 10


# The envelope


@pytest.mark.parametrize(
    ("header", "sender", "recipients"),
    [
        (
            b"From: a@x.example\nTo: b@y.example, C <c@y.example>\nCc: d@y.example",
            "a@x.example",
            ("b@y.example", "c@y.example", "d@y.example"),
        ),
        (b"Return-Path: <bounce@x.example>\nFrom: a@x.example\nTo: b@y.example", "bounce@x.example", ("b@y.example",)),
        (b"Return-Path: <>\nFrom: daemon@x.example\nTo: b@y.example", "", ("b@y.example",)),
        (b"Sender: s@x.example\nFrom: a@x.example\nTo: b@y.example", "s@x.example", ("b@y.example",)),
        (
            b"Delivered-To: in@y.example\nX-Original-To: reply+1@y.example\nTo: list@z.example",
            None,
            ("in@y.example", "reply+1@y.example"),
        ),
        (b"Envelope-To: in@y.example\nDelivered-To: in@y.example\nTo: list@z.example", None, ("in@y.example",)),
        (b"To: undisclosed-recipients:;", "", ()),
        (b"To: b@y.example\x1b[2J", "", ()),
        (b"From: \xff\xfe\nTo: =?utf-8?q?b=40y.example?=", "", ()),
    ],
)
def test_the_envelope_is_what_the_delivering_server_wrote_else_what_the_sender_wrote(
    header: bytes, sender: str | None, recipients: tuple[str, ...]
) -> None:
    mail_from, rcpt_tos = envelope(header + b"\n\nTo: body@z.example\n")
    assert rcpt_tos == recipients
    assert sender is None or mail_from == sender


def test_the_sender_of_an_mbox_line_counts_where_there_is_no_return_path() -> None:
    assert envelope(MAIL, "bounce@x.example")[0] == "bounce@x.example"
    assert envelope(b"Return-Path: <r@x.example>\n" + MAIL, "bounce@x.example")[0] == "r@x.example"


@pytest.mark.parametrize("word", [b"-", b"MAILER-DAEMON", b"1696339472613361043@xxx"])
def test_what_programs_write_in_place_of_a_sender_is_none(tmp_path: Path, word: bytes) -> None:
    path = mbox(tmp_path, b"From " + word + b" Mon Nov 23 08:15:00 2026\n" + MAIL)
    (mail,) = found(path)
    assert isinstance(mail, FileMail)
    assert mail.mbox_sender == ""


def test_thousands_of_recipients_are_cut_to_what_a_server_would_take() -> None:
    many = b", ".join(b"a%d@y.example" % n for n in range(20_000))
    assert len(envelope(b"To: " + many + b"\n\n")[1]) == replay.MAX_RECIPIENTS


@given(st.binary(max_size=300))
def test_no_octets_keep_an_envelope_from_being_found(octets: bytes) -> None:
    mail_from, rcpt_tos = envelope(b"Return-Path: " + octets + b"\nTo: " + octets)
    assert mail_from.isprintable()
    assert all(address.isprintable() for address in rcpt_tos)


def test_the_source_is_named_and_the_time_is_the_one_passed_in() -> None:
    taken = replay.received_message(FileMail(path="x", content=MAIL), received_at=17.0)
    assert (taken.source_ref.source, taken.received_at, taken.content, taken.trace_length) == ("replay", 17.0, MAIL, 0)
