"""Which mail in doubt a ticket message belongs to, where several have the same words."""

from dataclasses import replace

import pytest

from ingest.api.recognition import Claims, Rival, Search, assign
from ingest.api.records import Draft, PostedMessage, PostFingerprint
from ingest.model.api_profile import ApiProfile

DRAFT = Draft(ticket_id="T1", author_id="U1", content="Thank you.")
SAME_WORDS = (DRAFT.fingerprint,)


def found(name: str, created_at: float | None, *, ticket_id: str = "T1") -> PostedMessage:
    return PostedMessage(
        id=name,
        ticket_id=ticket_id,
        author_id="U1",
        author_email="",
        content="Thank you.",
        source="EMAIL",
        private=False,
        email_message_id=None,
        email_in_reply_to=None,
        created_at=created_at,
    )


def rival(began_at: float, *, ticket: str = "T1", words: str = "Thank you.") -> Rival:
    return Rival(began_at=began_at, fingerprints=(PostFingerprint.of("U1", words, ticket),), tickets=(ticket,))


def divide(began_at: float, rivals: list[Rival], *candidates: PostedMessage, offset: float = 0.0) -> str | None:
    profile = ApiProfile(posts_as="named", source="EMAIL", clock_offset_seconds=offset)
    search = Search(draft=DRAFT, fingerprints=SAME_WORDS, began_at=began_at, profile=profile)
    ours, theirs = assign(candidates, search, Claims(rivals=rivals, began_at=began_at))
    assert ours is None or ours.id not in theirs
    return ours.id if ours is not None else None


def test_a_message_belongs_to_the_mail_whose_post_began_last_before_it() -> None:
    assert divide(10, [rival(28)], found("M1", 39)) is None
    assert divide(28, [rival(10)], found("M1", 39)) == "M1"
    assert divide(10, [rival(28)], found("M1", 20)) == "M1"
    assert divide(28, [rival(10)], found("M1", 20)) is None


@pytest.mark.parametrize("created", [(12, 39), (38, 39), (29, 30)])
def test_two_messages_go_to_two_mails_whichever_looks(created: tuple[float, float]) -> None:
    candidates = found("M1", created[0]), found("M2", created[1])
    assert {divide(10, [rival(28)], *candidates), divide(28, [rival(10)], *candidates)} == {"M1", "M2"}


def test_with_as_many_messages_as_mails_each_mail_gets_one_also_if_the_clocks_differ() -> None:
    began, candidates = [10.0, 28.0, 40.0], [found(f"M{n}", -500.0 + n) for n in range(3)]
    got = {divide(own, [rival(other) for other in began if other != own], *candidates) for own in began}
    assert got == {"M0", "M1", "M2"}


def test_the_clock_of_the_api_is_allowed_for() -> None:
    assert divide(10, [rival(28)], found("M1", 620), offset=600.0) == "M1"
    assert divide(28, [rival(10)], found("M1", 639), offset=600.0) == "M1"


@pytest.mark.parametrize("other", [rival(28, ticket="T2"), rival(28, words="Thanks.")])
def test_a_mail_of_another_ticket_or_with_other_words_is_no_rival(other: Rival) -> None:
    assert divide(10, [other], found("M1", 39)) == "M1"


def test_a_message_without_a_time_is_divided_too() -> None:
    assert divide(28, [rival(10)], found("M1", None)) == "M1"


def test_a_message_with_the_message_id_of_the_mail_is_its_own_whoever_else_said_the_same() -> None:
    draft = replace(DRAFT, email_message_id="m1@x")
    search = Search(draft=draft, fingerprints=SAME_WORDS, began_at=10, profile=ApiProfile(clock_offset_seconds=0.0))
    candidates = [replace(found("M1", 39), email_message_id="m1@x"), found("M2", 38)]
    ours, _theirs = assign(candidates, search, Claims(rivals=[rival(28)], began_at=10))
    assert ours is not None
    assert ours.id == "M1"


@pytest.mark.parametrize(
    ("profile", "is_held"),
    [
        (ApiProfile(), True),
        (ApiProfile(posts_as="named"), False),
        (ApiProfile(source="API"), False),
        (ApiProfile(posts_as="named", source="API"), False),
    ],
)
def test_a_message_of_anybody_may_be_ours_with_other_words_only_while_nothing_is_known_of_the_api(
    profile: ApiProfile, is_held: bool
) -> None:
    message = replace(found("M1", 39), author_id="token-user", source="OTHER", content="An agent has changed this.")
    search = Search(draft=DRAFT, fingerprints=SAME_WORDS, began_at=10, profile=profile)
    assert search.may_be_changed(message) is is_held
