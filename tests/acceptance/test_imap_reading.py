"""Reading mailboxes of a real Dovecot: what comes in, where it was read, and what happens to it afterwards."""

import datetime
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from ingest.store import MessageRecord
from tests.dovecot import Dovecot, dovecot
from tests.mailboxes import Intake, account, eventually, faster, intake, mail, numbered

_users = count(1)


@pytest.fixture(scope="module")
def server() -> Iterator[Dovecot]:
    with dovecot() as running:
        yield running


@pytest.fixture
def user() -> str:
    return f"user{next(_users)}@customer.example"


async def test_mail_that_is_there_and_mail_that_comes_is_taken_in_octet_for_octet(
    server: Dovecot, user: str, tmp_path: Path
) -> None:
    odd = b"Subject: 8-bit \xff and a dot\r\n\r\n.\r\n..\r\n{5}\r\n)\r\ni3 OK done\r\n* BYE\r\n"
    server.deliver(user, mail("one"), odd)
    async with intake(tmp_path) as taken:
        await taken.start(account(server, user))
        await taken.has(mail("one"), odd)
        server.deliver(user, mail("two"))
        await taken.has(mail("one"), odd, mail("two"))


async def test_the_row_says_which_account_folder_and_place_a_mail_was_read_from(
    server: Dovecot, user: str, tmp_path: Path
) -> None:
    server.deliver(user, mail("one"))
    async with intake(tmp_path) as taken:
        await taken.start(account(server, user))
        await taken.has(mail("one"))
        [record] = await taken.records()
        assert record.source == f"imap:{user.partition('@')[0]}/INBOX"
        assert record.rcpt_tos == ("help@mail.ravenna.example",)
        assert record.mail_from == "alice@customer.example"
        folder = await taken.memory.folder(record.source)
        position = await taken.store.position(record.source)
        assert folder is not None
        assert position == f"{folder.uid_validity}/1"
