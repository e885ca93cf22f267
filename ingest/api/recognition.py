"""Tells a ticket message of ours among those that the API lists, also where the API changes what it is sent.

An API may post under the token's user instead of the author that we name, store another source, wrap the text in HTML,
and have a clock that is off. What it does with posts that it accepts is learned (``ApiProfile``) and kept in the store.
While nothing has been learned, each of these differences is possible, and none of them makes a message somebody else's.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from ingest.api.records import Draft, PostedMessage, PostFingerprint, comparable_text
from ingest.model.api_profile import NAMED, ApiProfile

SENT_SOURCE = "EMAIL"
"""The ``source`` that we send with every ticket message."""
CLOCK_TOLERANCE_SECONDS = 2 * 3600.0
"""How far the API's clock may be off from ours while nothing is known of it: machines without time synchronisation
drift by minutes, and one with a wrong time zone is off by an hour."""
LEARNED_TOLERANCE_SECONDS = 2 * 60.0
"""How far a time may be off from the clock difference that was learned: clocks drift between two posts."""


def learn(profile: ApiProfile, posted: PostedMessage, draft: Draft, *, now: float) -> ApiProfile:
    """Return the profile after the API accepted ``draft`` as ``posted`` at Unix time ``now``.

    An API that posts everything under one user is not taken for one that keeps authors because that user wrote once."""
    author = posted.author_id
    is_one_user = author in ("", profile.posts_as)
    offset = posted.created_at - now if posted.created_at is not None else profile.clock_offset_seconds
    return replace(
        profile,
        posts_as=profile.posts_as if is_one_user else NAMED if author == draft.author_id else author,
        source=posted.source or profile.source,
        clock_offset_seconds=offset,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What to look for after doubt: a draft, what earlier attempts made of the same mail, and when it was posted."""

    draft: Draft
    fingerprints: Collection[PostFingerprint]
    began_at: float
    """When the POST in doubt began, by our clock."""
    profile: ApiProfile

    @property
    def earliest(self) -> float:
        """The earliest time, by the API's clock, at which the POST can have been stored."""
        offset = self.profile.clock_offset_seconds
        if offset is None:
            return self.began_at - CLOCK_TOLERANCE_SECONDS
        return self.began_at + min(offset, 0.0) - LEARNED_TOLERANCE_SECONDS

    def is_ours(self, message: PostedMessage) -> bool:
        """Whether a listed message is the one that was posted."""
        if not self._may_be_ours(message):
            return False
        return self.is_named(message) or self.has_words(message, self.fingerprints)

    def is_named(self, message: PostedMessage) -> bool:
        """Whether a listed message has the Message-ID of the mail, which no other mail has."""
        return self.draft.email_message_id is not None and message.email_message_id == self.draft.email_message_id

    def has_words(self, message: PostedMessage, fingerprints: Collection[PostFingerprint]) -> bool:
        """Whether a listed message has the words and the author of one of ``fingerprints``."""
        found = comparable_text(message.content)
        appendix = comparable_text(self.draft.appendix)
        digests = {PostFingerprint.of("", text).digest for text in (found, found.removesuffix(appendix).rstrip())}
        return any(
            fingerprint.digest in digests and self._is_author(message, fingerprint.author_id)
            for fingerprint in fingerprints
        )

    def may_be_changed(self, message: PostedMessage) -> bool:
        """Whether a listed message may be the one that was posted, with other words by now: an agent may have edited
        or deleted it, or the API may have changed its form. While it is not known under whom the API posts, any author
        may be ours; while the source that it stores is not known, any source of an author that we name; while neither
        is, anything."""
        known = {self.profile.source or None, SENT_SOURCE}
        authors = {fingerprint.author_id for fingerprint in self.fingerprints}
        is_named = message.author_id in authors or not self.profile.posts_as
        is_mail = message.source in known or (not self.profile.source and is_named)
        expected = authors if self.profile.keeps_author else {self.profile.posts_as}
        is_author = not self.profile.posts_as or message.author_id in expected
        return self._may_be_ours(message) and is_mail and is_author

    def _may_be_ours(self, message: PostedMessage) -> bool:
        if message.created_at is not None and message.created_at < self.earliest:
            return False
        return not self.profile.source or message.source in (self.profile.source, SENT_SOURCE, None)

    def _is_author(self, message: PostedMessage, named: str) -> bool:
        if not self.profile.posts_as:
            return True
        return message.author_id == (named if self.profile.keeps_author else self.profile.posts_as)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """Another mail whose POST is in doubt, with the same words: what is found may be its message."""

    began_at: float
    """When its POST began, by our clock."""
    fingerprints: Collection[PostFingerprint]
    tickets: Collection[str]
    """The tickets on which its message may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What is known of the claims of other mails to the ticket messages that were found for one in doubt."""

    taken: Collection[str] = ()
    """Ids of ticket messages that belong to other mails for certain."""
    rivals: Sequence[Rival] = ()
    began_at: float = 0.0
    """When the POST of the mail itself was noted to begin, to compare with the rivals."""


def assign(
    candidates: Collection[PostedMessage], search: Search, claims: Claims
) -> tuple[PostedMessage | None, frozenset[str]]:
    """Divide the candidates among the mail that is searched for and its rivals, one for each; return the message of the
    mail itself, if there is one for it, and the ids of those that went to rivals.

    From the newest on, each goes to the mail whose POST began last before it: whichever of them all looks first, the
    division is the same, and it gives away as many candidates as there are mails for them."""
    if (named := next(filter(search.is_named, candidates), None)) is not None:
        return named, frozenset()
    offset = search.profile.clock_offset_seconds or 0.0
    own = Rival(began_at=claims.began_at, fingerprints=search.fingerprints, tickets=())
    without = [own, *claims.rivals]
    ours: PostedMessage | None = None
    theirs: set[str] = set()
    for message in sorted(candidates, key=_newest_first):
        able = [rival for rival in without if rival is own or _may_be_of(message, rival, search)]
        if not able:
            continue
        created_at = message.created_at - offset if message.created_at is not None else float("inf")
        taker = max(able, key=lambda rival: _nearness(rival.began_at, created_at))
        without = [rival for rival in without if rival is not taker]
        if taker is own:
            ours = message
        else:
            theirs.add(message.id)
    return ours, frozenset(theirs)


def is_rival(rival: Rival, candidates: Collection[PostedMessage], search: Search) -> bool:
    """Whether one of the candidates has the words and the author of a rival, on whatever ticket."""
    return any(search.has_words(message, rival.fingerprints) for message in candidates)


def _may_be_of(message: PostedMessage, rival: Rival, search: Search) -> bool:
    return message.ticket_id in (*rival.tickets, "") and search.has_words(message, rival.fingerprints)


def _newest_first(message: PostedMessage) -> float:
    return -message.created_at if message.created_at is not None else float("-inf")


def _nearness(began_at: float, created_at: float) -> tuple[bool, float]:
    """Order the beginnings of POSTs by how well they explain a message of ``created_at``: the last one before it; if
    all are after it, which clocks that differ can make, the first."""
    return (True, began_at) if began_at <= created_at else (False, -began_at)
