"""A bench for tests of trust: what is known of a sender is what the test says, and nothing else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ingest.api import Unavailable
from ingest.model.envelope import QueuedMessage
from ingest.model.message import ParsedMessage
from ingest.model.outcome import Deferred
from ingest.model.trust import Authentication, AuthenticationResult
from tests.support.factories import DOMAIN
from tests.support.pipeline import Bench, new_bench

STAFF_DOMAIN = "support.example"


@dataclass(kw_only=True)
class StatedAuthenticator:
    """Says of each mail what it was told to say."""

    result: AuthenticationResult = AuthenticationResult.NOTHING_KNOWN
    is_unavailable: bool = False
    asked: list[str] = field(default_factory=list)
    """The queue ids of the messages that it was asked about."""

    async def authenticate(self, queued: QueuedMessage, message: ParsedMessage, _content: bytes) -> Authentication:
        self.asked.append(queued.queue_id)
        if self.is_unavailable:
            raise Unavailable(Deferred(reason="the DNS does not answer"))
        domain = message.from_[0].addr_spec.rpartition("@")[2]
        return Authentication(result=self.result, domain=domain, reason="the test says so")


@dataclass(kw_only=True)
class TrustBench:
    """A bench, and what is known of the senders of its mail."""

    bench: Bench
    authenticator: StatedAuthenticator

    @property
    def messages(self) -> list[dict[str, Any]]:
        """What was posted, as the API holds it, in order."""
        return [self.bench.sandbox.state.messages[post["id"]] for post in self.bench.posts]

    def knows(self, result: AuthenticationResult) -> None:
        """Have all mail from now on be proven, failed, or of nobody knows whom."""
        self.authenticator.result = result


@asynccontextmanager
async def new_trust_bench(folder: Path, **changed: str) -> AsyncIterator[TrustBench]:
    """A bench that demands proof, unless ``changed`` says otherwise; the agents of the sandbox are staff."""
    settings = {"INGEST_AUTHENTICATION": "required", "INGEST_STAFF_DOMAINS": f"{STAFF_DOMAIN}, {DOMAIN}"} | changed
    async with new_bench(folder, **settings) as bench:
        authenticator = StatedAuthenticator()
        decider = bench.engine.pipeline._decider
        decider._authenticator = authenticator  # the one part of the engine that asks the network
        yield TrustBench(bench=bench, authenticator=authenticator)
