"""A worker that kills itself at a crash point: ``python -m tests.support.crash_victim C3``.

``docs/architecture.md`` explains the points. The process sends SIGKILL to itself, so that
it dies exactly between two steps; all else is the real ``ingest serve``.
"""

import os
import signal
import sys
from typing import Any, NoReturn

from ingest import cli
from ingest.model.outcome import Delivered
from ingest.receive import Receiver
from ingest.store import lifecycle
from ingest.store.messages import Store


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def before_commit() -> None:
    store = lifecycle.receive

    def receive(*args: Any, **named: Any) -> str:
        store(*args, **named)
        die()

    lifecycle.receive = receive


def after_commit_before_250() -> None:
    receive = Receiver.receive

    async def received(self: Receiver, message: Any) -> str:
        await receive(self, message)
        die()

    Receiver.receive = received  # type: ignore[method-assign]


def after_claim() -> None:
    claim = Store.claim

    async def claimed(self: Store, **kwargs: Any) -> Any:
        return die() if await claim(self, **kwargs) else ()

    Store.claim = claimed  # type: ignore[method-assign]


def after_2xx_before_settle() -> None:
    settle = Store.settle

    async def settled(self: Store, queue_id: str, lease_token: str, outcome: Any, **kwargs: Any) -> bool:
        return die() if isinstance(outcome, Delivered) else await settle(self, queue_id, lease_token, outcome, **kwargs)

    Store.settle = settled  # type: ignore[method-assign]


def after_settle() -> None:
    settle = Store.settle

    async def settled(self: Store, queue_id: str, lease_token: str, outcome: Any, **kwargs: Any) -> bool:
        await settle(self, queue_id, lease_token, outcome, **kwargs)
        die()

    Store.settle = settled  # type: ignore[method-assign]


POINTS = {
    "C1": before_commit,
    "C2": after_commit_before_250,
    "C3": after_claim,
    "C5": after_2xx_before_settle,
    "C6": after_settle,
}

if __name__ == "__main__":
    POINTS[sys.argv[1]]()
    sys.argv = ["ingest", "serve"]
    cli.main()
