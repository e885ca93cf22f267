"""Parsing the API's objects, and the one body that we send."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.api import records
from ingest.api.records import Draft, MalformedResponse

DRAFT = Draft(
    ticket_id="T1",
    author_id="U1",
    content="It works now.",
    email_message_id="reply-1@customer.example",
    email_in_reply_to="tai-42-1@mail.ravenna.example",
)


def sent(draft: Draft, *, author: bool = True, email_ids: bool = False) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(records.request_body(draft, author=author, email_ids=email_ids))
    return body


def test_the_body_is_exactly_the_documented_one() -> None:
    assert sent(DRAFT) == {"content": "It works now.", "authorId": "U1", "ticketId": "T1", "source": "EMAIL"}


def test_private_is_sent_only_where_the_draft_is_private() -> None:
    private = Draft(ticket_id="T1", author_id="U1", content="A report.", private=True)
    assert sent(private)["private"] is True
    assert "private" not in sent(DRAFT)


def test_the_author_is_left_out_where_the_settings_say_so() -> None:
    assert "authorId" not in sent(DRAFT, author=False)


def test_the_email_ids_are_sent_only_where_the_settings_say_so_and_only_those_that_are_known() -> None:
    assert sent(DRAFT, email_ids=True)["emailMessageId"] == "<reply-1@customer.example>"
    assert sent(DRAFT, email_ids=True)["emailInReplyTo"] == "<tai-42-1@mail.ravenna.example>"
    bare = Draft(ticket_id="T1", author_id="U1", content="Hi")
    assert not {"emailMessageId", "emailInReplyTo"} & sent(bare, email_ids=True).keys()


def test_content_that_no_database_stores_is_made_storable() -> None:
    odd = Draft(ticket_id="T1", author_id="U1", content="a\0b\ud800c")
    assert sent(odd)["content"] == "a\ufffdb?c"


@pytest.mark.parametrize(
    ("given_id", "normalised"),
    [
        ("<a@B.Example>", "a@b.example"),
        ("  <a@b>\n", "a@b"),
        ("A@B", "A@b"),
        ("<a@b@C>", "a@b@c"),
        ("", None),
        ("<>", None),
        ("no-domain", None),
        ("<a b@c>", None),
        ("<a\r\nX: y@c>", None),
        ("<" + "a" * 1000 + "@c>", None),
    ],
)
def test_message_ids_are_normalised_and_odd_ones_are_none(given_id: str, normalised: str | None) -> None:
    assert records.normalise_message_id(given_id) == normalised


def test_a_ticket_needs_no_more_than_an_id() -> None:
    ticket = records.parse_ticket({"id": "T1"})
    assert (ticket.id, ticket.code, ticket.follower_ids, ticket.merged_into) == ("T1", "", (), None)


def test_a_tickets_code_is_its_queues_prefix_and_its_number() -> None:
    assert (
        records.parse_ticket({"id": "T1", "queue": {"prefix": "TAI"}, "number": 42, "code": "other"}).code == "TAI-42"
    )


def test_a_time_that_cannot_be_read_is_none() -> None:
    times = [records.parse_message({"id": "M1", "createdAt": value}).created_at for value in ("yesterday", None, 5, "")]
    assert times == [None] * 4


def test_a_time_is_read_in_utc() -> None:
    assert records.parse_message({"id": "M1", "createdAt": "1970-01-01T00:01:40.500Z"}).created_at == 100.5


def test_a_list_may_come_in_its_envelope_or_bare() -> None:
    assert records.parse_page({"items": [1], "totalCount": 1, "nextCursor": "n"}) == ([1], "n")
    assert records.parse_page({"items": [], "nextCursor": None}) == ([], None)
    assert records.parse_page([1, 2]) == ([1, 2], None)


@pytest.mark.parametrize("body", [None, "items", 5, {}, {"items": None}, {"items": {}}])
def test_what_is_no_list_is_unreadable(body: object) -> None:
    with pytest.raises(MalformedResponse):
        records.parse_page(body)


KEYS = [
    "id",
    "email",
    "firstName",
    "queue",
    "prefix",
    "number",
    "followers",
    "author",
    "createdAt",
    "nextCursor",
    "items",
]
odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("a\ud800\0"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=12,
)


@given(item=odd)
@pytest.mark.parametrize("parse", [records.parse_user, records.parse_ticket, records.parse_message, records.parse_page])
def test_any_json_is_read_or_unreadable_and_never_carries_what_cannot_be_stored(parse: Any, item: Any) -> None:
    try:
        found = parse(item)
    except MalformedResponse:
        return
    if parse is not records.parse_page:
        str(found).encode()
        assert "\0" not in found.id
