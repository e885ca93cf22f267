"""Ways to break the engine on purpose: the laws must see each of them.

That the lease is checked before a POST is not among them: a run has one process at a time, in which no lease is lost.
``tests/acceptance/test_pipeline.py`` and ``tests/contract/store/test_lifecycle.py`` try it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ingest.app import Engine
from ingest.model.envelope import QueuedMessage
from ingest.store import Arrival, Findings, Identified, PostClaims


def _without_begin_post(engine: Engine) -> None:
    """That a POST begins is not stored, so a crash leaves no trace of it."""

    async def begin_post(*_arguments: Any, **_more: Any) -> bool:
        return True

    _set(engine.store, "begin_post", begin_post)
    _identify_without_post(engine)


def _without_second_look(engine: Engine) -> None:
    """What is not found at the first look is posted again."""
    look = engine.pipeline._find_earlier_post

    async def find(queued: QueuedMessage, *arguments: Any) -> Any:
        return await look(replace(queued, absent_at=queued.absent_at or 0.0), *arguments)

    _set(engine.pipeline, "_find_earlier_post", find)


def _without_settle_window(engine: Engine) -> None:
    """A POST in doubt is looked for at once."""
    _set(engine.pipeline, "_wait_for_settling", lambda _queued: None)


def _without_order(engine: Engine) -> None:
    """Messages are stored without the names that they share, and what ``identify`` finds to go first is ignored."""
    receive_all, identify = engine.store.receive_all, engine.store.identify

    async def receive_without(arrivals: Sequence[Arrival], **more: Any) -> Any:
        return await receive_all([replace(arrival, order_names=()) for arrival in arrivals], **more)

    async def identify_without(*arguments: Any, **more: Any) -> Identified:
        return replace(await identify(*arguments, **more), blocked_by=None)

    _set(engine.store, "receive_all", receive_without)
    _set(engine.store, "identify", identify_without)


def _without_owners(engine: Engine) -> None:
    """A message that another mail became is taken for this one's."""

    async def post_claims(*_arguments: Any, **_more: Any) -> PostClaims:
        return PostClaims(taken=frozenset(), rivals=())

    _set(engine.store, "post_claims", post_claims)


def _identify_without_post(engine: Engine) -> None:
    """The beginning of a POST is left to ``begin_post``, also where identifying could store it."""
    identify = engine.store.identify

    async def identified(queue_id: str, lease_token: str, findings: Findings, **more: Any) -> Identified:
        return await identify(queue_id, lease_token, replace(findings, begins_post=False), **more)

    _set(engine.store, "identify", identified)


def _set(owner: object, name: str, value: object) -> None:
    object.__setattr__(owner, name, value)


SABOTAGES: dict[str, Callable[[Engine], None]] = {
    "begin_post": _without_begin_post,
    "second look": _without_second_look,
    "settle window": _without_settle_window,
    "order": _without_order,
    "owners": _without_owners,
}
