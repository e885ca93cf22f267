"""The API client against the sandbox, over HTTP on loopback."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY

from ingest.api import Claims, Draft, PostFingerprint, TicketApiClient, Unavailable
from ingest.api.client import MAX_CONVERSATION_MESSAGES
from ingest.config.settings import ConfigError, Settings
from ingest.model.outcome import DeferCause, Deferred, Delivered, Failed, Outcome, PostEffect, Quarantined, RuleName
from ingest.sandbox import Sandbox

DATA = Path(__file__).parents[3] / "fixtures" / "sandbox.json"
TAI_42 = "cm7y0q4kt000q5gneqf0tbspg"
FAR_FUTURE = 10_000_000_000.0


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(data=DATA) as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def api(sandbox: Sandbox, clock: Clock) -> AsyncIterator[TicketApiClient]:
    async with TicketApiClient(settings(sandbox), clock) as opened:
        yield opened


def settings(sandbox: Sandbox, **other: Any) -> Settings:
    return Settings.model_validate({"api_url": sandbox.url, "api_token": sandbox.token, **other})


def user_id(sandbox: Sandbox, email: str) -> str:
    return next(str(user["id"]) for user in sandbox.state.users.values() if user["email"] == email)


def draft(sandbox: Sandbox, content: str = "It works now.", ticket_id: str = TAI_42, **other: Any) -> Draft:
    author_id = user_id(sandbox, "alice@customer.example")
    return Draft(**{"ticket_id": ticket_id, "author_id": author_id, "content": content} | other)


async def order(sandbox: Sandbox, *faults: dict[str, Any]) -> None:
    async with httpx.AsyncClient() as client:
        (await client.post(f"{sandbox.page}sandbox/faults", json=faults)).raise_for_status()


async def requests_at(sandbox: Sandbox) -> int:
    async with httpx.AsyncClient() as client:
        counted = (await client.get(f"{sandbox.page}sandbox/state")).json()["requests"]
    return sum(counted.values())


def kind(outcome: Outcome) -> str:
    if isinstance(outcome, Deferred):
        return "in doubt" if outcome.post_effect is PostEffect.UNKNOWN else "deferred"
    return type(outcome).__name__.lower()


async def nobody_claims(_ids: Sequence[str]) -> Claims:
    return Claims()


# Posting


async def test_a_draft_becomes_one_message_and_the_answers_ids_are_told(sandbox: Sandbox, api: TicketApiClient) -> None:
    outcome = await api.post_message(draft(sandbox), idempotency_key="Q1")
    (post,) = sandbox.state.posts
    assert outcome == Delivered(
        ticket_id=TAI_42,
        ticket_message_id=post["id"],
        email_message_id=f"{post['id']}@mail.ravenna.example",
        email_in_reply_to="tai-42-1@mail.ravenna.example",
    )
    assert (post["content"], post["ticketId"], post["idempotencyKey"]) == ("It works now.", TAI_42, "Q1")


async def test_a_private_draft_becomes_a_private_note(sandbox: Sandbox, api: TicketApiClient) -> None:
    outcome = await api.post_message(draft(sandbox, private=True), idempotency_key="Q1")
    assert isinstance(outcome, Delivered)
    assert sandbox.state.messages[outcome.ticket_message_id]["private"] is True


@pytest.mark.parametrize(
    ("fault", "expected", "posted"),
    [
        ({"status": 500}, "in doubt", 0),
        ({"status": 500, "effect": True}, "in doubt", 1),
        ({"cut": True}, "in doubt", 0),
        ({"cut": True, "effect": True}, "in doubt", 1),
        ({"delay": 30, "effect": True}, "in doubt", 1),
        ({"status": 502, "body": "<html>Bad Gateway</html>"}, "in doubt", 0),
        ({"status": 404, "body": "<html>Not Found</html>"}, "in doubt", 0),
        ({"status": 200, "body": "<html>Sign in</html>"}, "in doubt", 0),
        ({"status": 301}, "in doubt", 0),
        ({"status": 409}, "in doubt", 0),
        ({"status": 503, "retry_after": "0"}, "in doubt", 0),
        ({"status": 400}, "failed", 0),
        ({"status": 401}, "deferred", 0),
        ({"status": 403}, "deferred", 0),
        ({"status": 429, "retry_after": "30"}, "deferred", 0),
    ],
)
async def test_each_fault_ends_in_its_outcome_and_is_not_repeated_at_hand(
    sandbox: Sandbox, fault: dict[str, Any], expected: str, posted: int
) -> None:
    await order(sandbox, {"method": "POST", **fault})
    async with TicketApiClient(settings(sandbox, api_timeout=0.5)) as api:
        outcome = await api.post_message(draft(sandbox), idempotency_key="Q1")
    assert kind(outcome) == expected
    assert len(sandbox.state.posts) == posted


@pytest.mark.parametrize("wrong", [{"author_id": "nobody"}, {"ticket_id": "no-such-ticket"}])
async def test_what_the_api_itself_refuses_fails_with_its_words(
    sandbox: Sandbox, api: TicketApiClient, wrong: dict[str, str]
) -> None:
    outcome = await api.post_message(draft(sandbox, **wrong), idempotency_key="Q1")
    assert isinstance(outcome, Failed)
    assert "the API answered 40" in outcome.reason


async def test_undocumented_fields_are_refused_by_a_strict_api_and_honoured_by_a_lenient_one(sandbox: Sandbox) -> None:
    with_ids = draft(sandbox, email_message_id="reply-1@customer.example", email_in_reply_to="tai-42-1@x.example")
    async with TicketApiClient(settings(sandbox, send_undocumented=True)) as api:
        assert isinstance(await api.post_message(with_ids, idempotency_key="Q1"), Failed)
    async with (
        Sandbox(data=DATA, lenient=True) as lenient,
        TicketApiClient(settings(lenient, send_undocumented=True)) as api,
    ):
        outcome = await api.post_message(with_ids, idempotency_key="Q1")
    assert isinstance(outcome, Delivered)
    assert outcome.email_message_id == "reply-1@customer.example"


async def test_a_short_wait_that_the_api_asks_for_is_waited_at_hand_by_a_look_up(sandbox: Sandbox) -> None:
    await order(sandbox, {"method": "GET", "status": 429, "retry_after": "0", "times": 2})
    async with TicketApiClient(settings(sandbox)) as api:
        assert await api.find_ticket("TAI-42") is not None


async def test_a_post_that_is_answered_with_429_is_not_repeated_at_hand(sandbox: Sandbox) -> None:
    """Some servers count a request after they have done it: the message has to be looked for first."""
    await order(sandbox, {"method": "POST", "status": 429, "retry_after": "0", "effect": True})
    async with TicketApiClient(settings(sandbox)) as api:
        outcome = await api.post_message(draft(sandbox), idempotency_key="Q1")
    assert isinstance(outcome, Deferred)
    assert outcome.post_effect is PostEffect.ANSWERED
    assert len(sandbox.state.posts) == 1
    assert len(sandbox.state.posts) == 1


async def test_a_long_wait_holds_back_all_requests_until_it_is_over(
    sandbox: Sandbox, api: TicketApiClient, clock: Clock
) -> None:
    await order(sandbox, {"method": "POST", "status": 429, "retry_after": "30"})
    await api.post_message(draft(sandbox), idempotency_key="Q1")
    before = await requests_at(sandbox)
    held = await api.post_message(draft(sandbox, "Another."), idempotency_key="Q2")
    with pytest.raises(Unavailable):
        await api.find_ticket("TAI-43")
    assert held == Deferred(
        reason="the API asked us to slow down",
        retry_after=30.0,
        cause=DeferCause.OUTAGE,
        post_effect=PostEffect.NONE,
    )
    assert api.wait_seconds == 30.0
    assert await requests_at(sandbox) == before
    clock.now += 30
    assert isinstance(await api.post_message(draft(sandbox), idempotency_key="Q1"), Delivered)


async def test_an_api_that_is_down_is_tried_three_times_and_certainly_has_nothing(sandbox: Sandbox) -> None:
    labels = {"method": "POST", "status": "ClientConnectorError"}
    before = REGISTRY.get_sample_value("ingest_api_requests_total", labels) or 0
    unreachable = settings(sandbox, api_url="http://127.0.0.1:1/api")
    async with TicketApiClient(unreachable) as api:
        outcome = await api.post_message(draft(sandbox), idempotency_key="Q1")
    assert kind(outcome) == "deferred"
    assert REGISTRY.get_sample_value("ingest_api_requests_total", labels) == before + 3


async def test_two_hundred_messages_at_once_are_each_posted_once(sandbox: Sandbox) -> None:
    drafts = [draft(sandbox, f"Message {number}") for number in range(200)]
    async with TicketApiClient(settings(sandbox, deliveries=32)) as api:
        outcomes = await asyncio.gather(*(api.post_message(each, idempotency_key=each.content) for each in drafts))
    assert {kind(outcome) for outcome in outcomes} == {"delivered"}
    assert sorted(post["content"] for post in sandbox.state.posts) == sorted(each.content for each in drafts)


async def test_a_message_that_is_cancelled_in_mid_post_says_so(sandbox: Sandbox, api: TicketApiClient) -> None:
    await order(sandbox, {"method": "POST", "delay": 30, "effect": True})
    posting = asyncio.create_task(api.post_message(draft(sandbox), idempotency_key="Q1"))
    async with asyncio.timeout(10):
        while not sandbox.state.posts:
            await asyncio.sleep(0.01)
    posting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await posting


async def test_a_ticket_merged_a_moment_ago_defers_its_message_instead_of_failing_it(
    sandbox: Sandbox, api: TicketApiClient
) -> None:
    found = await api.find_ticket("TAI-43")
    assert found is not None
    sandbox.state.tickets[found.id]["mergedIntoId"] = TAI_42
    outcome = await api.post_message(draft(sandbox, ticket_id=found.id), idempotency_key="Q1")
    assert kind(outcome) == "deferred"
    moved = await api.find_ticket(found.id)
    assert moved is not None
    assert moved.id == TAI_42


# A refused token


async def test_a_wrong_token_stops_everything_and_a_probe_that_succeeds_starts_it_again(
    sandbox: Sandbox, clock: Clock
) -> None:
    await order(sandbox, {"status": 401, "times": 2})
    async with TicketApiClient(settings(sandbox), clock) as api:
        assert kind(await api.post_message(draft(sandbox), idempotency_key="Q1")) == "deferred"
        assert api.is_stopped
        with pytest.raises(Unavailable, match="sending is stopped"):
            await api.find_user("alice@customer.example")
        clock.now += api.wait_seconds
        await api.post_message(draft(sandbox), idempotency_key="Q1")
        assert api.is_stopped, "the probe was refused too"
        clock.now += api.wait_seconds
        assert isinstance(await api.post_message(draft(sandbox), idempotency_key="Q1"), Delivered)
        assert not api.is_stopped


async def test_a_token_that_the_api_does_not_know_is_not_tried_for_each_message(sandbox: Sandbox) -> None:
    async with TicketApiClient(settings(sandbox, api_token="not the token")) as api:
        outcomes = [await api.post_message(draft(sandbox), idempotency_key=f"Q{number}") for number in range(20)]
    assert {kind(outcome) for outcome in outcomes} == {"deferred"}
    assert sandbox.state.posts == []
    assert all("401" in outcome.reason for outcome in outcomes if isinstance(outcome, Deferred))


async def test_a_403_for_one_ticket_lets_the_other_tickets_messages_through(
    sandbox: Sandbox, api: TicketApiClient
) -> None:
    other = sandbox.state.ticket("TAI-43")["id"]
    await order(sandbox, {"method": "POST", "status": 403})
    assert kind(await api.post_message(draft(sandbox), idempotency_key="Q1")) == "deferred"
    assert kind(await api.post_message(draft(sandbox, ticket_id=other), idempotency_key="Q2")) == "delivered"
    await order(sandbox, {"method": "POST", "status": 403})
    assert kind(await api.post_message(draft(sandbox), idempotency_key="Q1")) == "deferred"
    assert not api.is_stopped


async def test_a_token_that_no_header_can_carry_is_a_configuration_error(sandbox: Sandbox) -> None:
    with pytest.raises(ConfigError, match="copy it again"):
        TicketApiClient(settings(sandbox, api_token="tökén"))


# Looking again after doubt


@pytest.mark.parametrize("fault", [{"cut": True, "effect": True}, {"status": 500, "effect": True}])
async def test_a_post_whose_answer_was_lost_is_found_again(
    sandbox: Sandbox, api: TicketApiClient, fault: dict[str, Any]
) -> None:
    await order(sandbox, {"method": "POST", **fault})
    await api.post_message(draft(sandbox), idempotency_key="Q1")
    found = await api.find_posted(draft(sandbox), began_at=0.0, find_claims=nobody_claims)
    assert isinstance(found, Delivered)
    assert found.ticket_message_id == sandbox.state.posts[0]["id"]
    assert found.email_message_id == f"{found.ticket_message_id}@mail.ravenna.example"


@pytest.mark.parametrize("status", [404, 410, 403])
async def test_a_look_that_is_refused_does_not_say_that_the_post_never_arrived(
    sandbox: Sandbox, api: TicketApiClient, status: int
) -> None:
    await order(sandbox, {"method": "GET", "path": "/api/ticket-messages", "status": status})
    with pytest.raises(Unavailable):
        await api.find_posted(draft(sandbox), began_at=0.0, find_claims=nobody_claims)


async def test_a_post_that_never_arrived_is_not_found(sandbox: Sandbox, api: TicketApiClient) -> None:
    await order(sandbox, {"method": "POST", "cut": True})
    await api.post_message(draft(sandbox), idempotency_key="Q1")
    assert await api.find_posted(draft(sandbox), began_at=time.time(), find_claims=nobody_claims) is None


async def test_white_space_that_the_api_changed_does_not_hide_a_post(sandbox: Sandbox, api: TicketApiClient) -> None:
    await api.post_message(draft(sandbox, "It works\nnow. "), idempotency_key="Q1")
    assert (
        await api.find_posted(draft(sandbox, "It  works\r\nnow."), began_at=0.0, find_claims=nobody_claims) is not None
    )


async def test_a_post_is_found_by_what_was_to_be_posted_then(sandbox: Sandbox, api: TicketApiClient) -> None:
    then = draft(sandbox, "It works now.")
    await api.post_message(then, idempotency_key="Q1")
    now = draft(sandbox, "It works.", author_id=user_id(sandbox, "bob@customer.example"))
    assert await api.find_posted(now, began_at=0.0, find_claims=nobody_claims) is None
    post_fingerprints = [PostFingerprint.of(then.author_id, "It works\nnow.")]
    assert (
        await api.find_posted(now, began_at=0.0, find_claims=nobody_claims, post_fingerprints=post_fingerprints)
        is not None
    )


async def test_a_post_is_found_by_its_imprint_though_lines_of_ours_were_added(
    sandbox: Sandbox, api: TicketApiClient
) -> None:
    then = draft(sandbox, "See the file.", appendix="Attachments that could not be added:\n\n- `a.exe` (1 KB)")
    await api.post_message(then, idempotency_key="Q1")
    now = replace(then, content="See the file!")
    post_fingerprints = [PostFingerprint.of(then.author_id, then.content)]
    assert (
        await api.find_posted(now, began_at=0.0, find_claims=nobody_claims, post_fingerprints=post_fingerprints)
        is not None
    )


@pytest.mark.parametrize(
    "other",
    [
        {"author_id": "cm6u05faqvudp3ao0ogtirzv9"},
        {"ticket_id": "cm7t6rnt9rbxhyutrhkf5hsft"},
    ],
)
async def test_a_message_of_another_author_or_ticket_is_not_ours(
    sandbox: Sandbox, api: TicketApiClient, other: dict[str, str]
) -> None:
    await api.post_message(draft(sandbox), idempotency_key="Q1")
    assert await api.find_posted(draft(sandbox, **other), began_at=0.0, find_claims=nobody_claims) is None


async def test_a_message_of_the_same_author_with_other_words_is_for_a_person_to_judge(
    sandbox: Sandbox, api: TicketApiClient
) -> None:
    await api.post_message(draft(sandbox), idempotency_key="Q1")
    found = await api.find_posted(draft(sandbox, content="Other words."), began_at=0.0, find_claims=nobody_claims)
    assert isinstance(found, Quarantined)
    assert found.rule is RuleName.PERHAPS_POSTED


async def test_a_message_from_long_before_our_first_attempt_is_not_ours(sandbox: Sandbox, api: TicketApiClient) -> None:
    await api.post_message(draft(sandbox), idempotency_key="Q1")
    assert await api.find_posted(draft(sandbox), began_at=FAR_FUTURE, find_claims=nobody_claims) is None


async def test_of_two_messages_with_the_same_words_only_the_one_that_nobody_owns_is_ours(
    sandbox: Sandbox, api: TicketApiClient
) -> None:
    first = await api.post_message(draft(sandbox, "Thanks!"), idempotency_key="Q1")
    assert isinstance(first, Delivered)

    async def first_is_taken(_ids: Sequence[str]) -> Claims:
        return Claims(taken={first.ticket_message_id})

    assert await api.find_posted(draft(sandbox, "Thanks!"), began_at=0.0, find_claims=first_is_taken) is None
    second = await api.post_message(draft(sandbox, "Thanks!"), idempotency_key="Q2")
    assert isinstance(second, Delivered)
    found = await api.find_posted(draft(sandbox, "Thanks!"), began_at=0.0, find_claims=first_is_taken)
    assert isinstance(found, Delivered)
    assert found.ticket_message_id == second.ticket_message_id


async def test_an_api_that_may_not_be_listed_is_not_asked(sandbox: Sandbox) -> None:
    async with TicketApiClient(settings(sandbox, api_can_list=False)) as api:
        await api.post_message(draft(sandbox), idempotency_key="Q1")
        before = await requests_at(sandbox)
        assert await api.find_posted(draft(sandbox), began_at=0.0, find_claims=nobody_claims) is None
    assert await requests_at(sandbox) == before


@pytest.mark.parametrize("status", [400, 403])
async def test_a_list_that_is_refused_is_not_taken_for_an_empty_one(
    sandbox: Sandbox, api: TicketApiClient, status: int
) -> None:
    await order(sandbox, {"method": "GET", "path": "/api/ticket-messages", "status": status})
    with pytest.raises(Unavailable):
        await api.find_posted(draft(sandbox), began_at=0.0, find_claims=nobody_claims)


# Looking up


@pytest.mark.parametrize("identifier", [TAI_42, "TAI-42", TAI_42[-8:]])
async def test_a_ticket_is_found_by_id_code_and_short_id(api: TicketApiClient, identifier: str) -> None:
    ticket = await api.find_ticket(identifier)
    assert ticket is not None
    assert (ticket.id, ticket.code, ticket.title) == (TAI_42, "TAI-42", "Lost Password")


async def test_an_api_that_knows_tickets_by_id_only_is_asked_for_the_codes_summary(
    sandbox: Sandbox, api: TicketApiClient
) -> None:
    await order(sandbox, {"path": "/api/tickets/TAI-42", "status": 404})
    ticket = await api.find_ticket("TAI-42")
    assert ticket is not None
    assert ticket.id == TAI_42


@pytest.mark.parametrize("identifier", ["TAI-999", "nosuchticket"])
async def test_an_unknown_ticket_is_none(api: TicketApiClient, identifier: str) -> None:
    assert await api.find_ticket(identifier) is None


@pytest.mark.parametrize(
    "identifier",
    ["", "../users", "TAI-42/../..", "a?b=c", "a#b", "a b", "%2e%2e", "..", "TAI-42\r\nX: y", "x" * 65, "тай-42", "-1"],
)
async def test_an_identifier_of_no_possible_form_is_not_even_asked_for(
    sandbox: Sandbox, api: TicketApiClient, identifier: str
) -> None:
    assert await api.find_ticket(identifier) is None
    assert await requests_at(sandbox) == 0


async def test_a_merged_ticket_is_followed_to_the_one_that_took_it_in(api: TicketApiClient) -> None:
    ticket = await api.find_ticket("HELP-111")
    assert ticket is not None
    assert ticket.code == "HELP-110"


async def test_tickets_merged_in_a_circle_have_an_end(sandbox: Sandbox, api: TicketApiClient) -> None:
    one, two = sandbox.state.ticket("TAI-43"), sandbox.state.ticket("TAI-44")
    one["mergedIntoId"], two["mergedIntoId"] = two["id"], one["id"]
    ticket = await api.find_ticket("TAI-43")
    assert ticket is not None
    assert ticket.id in (one["id"], two["id"])


async def test_a_ticket_merged_into_one_that_cannot_be_seen_is_itself(sandbox: Sandbox, api: TicketApiClient) -> None:
    sandbox.state.ticket("TAI-43")["mergedIntoId"] = "gone"
    ticket = await api.find_ticket("TAI-43")
    assert ticket is not None
    assert ticket.code == "TAI-43"


async def test_a_user_is_found_by_the_exact_address_among_those_that_contain_it(api: TicketApiClient) -> None:
    user = await api.find_user("alice@customer.example")
    assert user is not None
    assert (user.email, user.name) == ("alice@customer.example", "Alice Archer")


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("ALICE@Customer.Example", "alice@customer.example"),
        ("ola.nordmann@customer.example", "Ola.Nordmann@Customer.example"),
        ("pat+helpdesk@customer.example", "pat+helpdesk@customer.example"),
        ("r.o'neil@elsewhere.example", "r.o'neil@elsewhere.example"),
        ("lice@customer.example", None),
        ("pat helpdesk@customer.example", None),
        ("a%b&email=alice@customer.example", None),
        ("alice@customer.example\n", None),
        ("alice", None),
        ("", None),
        ("a@" + "b" * 300, None),
    ],
)
async def test_addresses_are_compared_exactly_but_for_case(
    api: TicketApiClient, written: str, found: str | None
) -> None:
    user = await api.find_user(written)
    assert (user.email if user is not None else None) == found


@pytest.fixture
def many_users(tmp_path: Path) -> Path:
    """The start data and 250 users whose addresses contain one another."""
    data = json.loads(DATA.read_text("utf-8"))
    data["users"] += [
        {"id": f"many-{number}", "email": f"{'x' * number}kim@many.example"} for number in range(250, 0, -1)
    ]
    data["users"] += [{"id": "kelvin", "email": "\u212aate@many.example"}, {"id": "upper", "email": "KIM@many.example"}]
    data["users"] += [{"id": "exact", "email": "kim@many.example"}]
    path = tmp_path / "many.json"
    path.write_text(json.dumps(data), "utf-8")
    return path


async def test_the_exact_spelling_is_found_even_on_the_last_page(many_users: Path) -> None:
    async with Sandbox(data=many_users) as sandbox, TicketApiClient(settings(sandbox)) as api:
        user = await api.find_user("kim@many.example")
    assert user is not None
    assert user.id == "exact"


async def test_a_letter_that_only_unicode_takes_for_the_same_is_another_letter(many_users: Path) -> None:
    async with Sandbox(data=many_users) as sandbox, TicketApiClient(settings(sandbox)) as api:
        assert await api.find_user("kate@many.example") is None


@pytest.mark.parametrize("kept", ["kim@bücher.example", "kim@xn--bcher-kva.example"])
async def test_a_domain_that_is_no_ascii_is_found_in_either_spelling(tmp_path: Path, kept: str) -> None:
    data = json.loads(DATA.read_text("utf-8"))
    data["users"] += [{"id": "idn", "email": kept}, {"id": "other", "email": "kim@buecher.example"}]
    path = tmp_path / "idn.json"
    path.write_text(json.dumps(data), "utf-8")
    async with Sandbox(data=path) as sandbox, TicketApiClient(settings(sandbox)) as api:
        user = await api.find_user("kim@xn--bcher-kva.example")
    assert user is not None
    assert user.id == "idn"


async def test_look_ups_are_remembered_also_those_without_a_result(
    sandbox: Sandbox, api: TicketApiClient, clock: Clock
) -> None:
    async def look_up() -> None:
        await asyncio.gather(*(api.find_user("alice@customer.example") for _ in range(10)))
        await asyncio.gather(*(api.find_user("nobody@customer.example") for _ in range(10)))
        await asyncio.gather(*(api.find_ticket("TAI-42") for _ in range(10)))

    await look_up()
    await look_up()
    assert await requests_at(sandbox) == 3
    clock.now += 1000
    await look_up()
    assert await requests_at(sandbox) == 6


async def test_a_look_up_in_doubt_is_repeated_at_hand(sandbox: Sandbox, api: TicketApiClient) -> None:
    await order(sandbox, {"status": 500}, {"cut": True})
    assert await api.find_ticket("TAI-42") is not None


async def test_a_look_up_without_an_answer_is_unavailable_and_not_remembered(
    sandbox: Sandbox, api: TicketApiClient
) -> None:
    await order(sandbox, {"status": 502, "body": "<html>", "times": 3})
    with pytest.raises(Unavailable) as unavailable:
        await api.find_ticket("TAI-42")
    told = "the API answered 502, with an HTML page"
    assert unavailable.value.outcome == Deferred(reason=told, cause=DeferCause.API_FAILURE)
    assert await api.find_ticket("TAI-42") is not None


async def test_all_pages_of_a_tickets_messages_are_listed(sandbox: Sandbox, api: TicketApiClient) -> None:
    alice = user_id(sandbox, "alice@customer.example")
    fields = {"authorId": alice, "ticketId": TAI_42, "source": "EMAIL", "private": False}
    for number in range(250):
        sandbox.state.post_message({"content": str(number), **fields}, "")
    listed = [message.content async for message in api.list_messages(TAI_42)]
    assert listed[1:] == [str(number) for number in range(250)]


async def test_the_messages_of_an_unknown_ticket_are_none(api: TicketApiClient) -> None:
    assert [message async for message in api.list_messages("nosuchticket")] == []


@pytest.mark.parametrize("faults", [(), ({"status": 400},)])
async def test_tickets_are_listed_closed_ones_too_even_if_they_cannot_be_sorted(
    sandbox: Sandbox, api: TicketApiClient, faults: tuple[dict[str, Any], ...]
) -> None:
    await api.post_message(draft(sandbox), idempotency_key="Q1")
    await order(sandbox, *faults)
    assert [ticket.code for ticket in await api.list_tickets(limit=1)] == ["TAI-42"]
    assert len(await api.list_tickets(limit=1000)) == len(sandbox.state.tickets)


async def test_of_a_long_conversation_the_latest_is_told(sandbox: Sandbox, api: TicketApiClient) -> None:
    for number in range(MAX_CONVERSATION_MESSAGES + 5):
        await api.post_message(draft(sandbox, f"message {number}"), idempotency_key=f"Q{number}")
    said = [message.content for message in await api.conversation(TAI_42)]
    assert (len(said), said[-1]) == (MAX_CONVERSATION_MESSAGES, f"message {MAX_CONVERSATION_MESSAGES + 4}")


@pytest.mark.parametrize("status", [400, 403, 404])
async def test_a_conversation_that_may_not_be_listed_is_done_without(
    sandbox: Sandbox, api: TicketApiClient, status: int
) -> None:
    await order(sandbox, {"method": "GET", "status": status})
    assert await api.conversation(TAI_42) == ()
    assert await api.conversation(TAI_42) != ()


async def test_a_conversation_that_cannot_be_listed_now_is_waited_for(sandbox: Sandbox, api: TicketApiClient) -> None:
    await order(sandbox, *[{"method": "GET", "status": 503}] * 9)
    with pytest.raises(Unavailable):
        await api.conversation(TAI_42)
