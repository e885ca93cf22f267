"""A parse pool for the simulation: the real parser and reading of replies, in the process, with a virtual delay."""

import asyncio
from random import Random

from ingest.parse_pool import ParsePool, PoisonMessage
from ingest.parse_process import do_job

LONGEST_JOB_SECONDS = 0.2

_results: dict[tuple[object, ...], object] = {}
"""Results of jobs on bytes. They are the same in every run, and the mails of all runs are the same few."""


class InlineParsePool(ParsePool):
    """Args:
    random: draws the delays.
    poison: contents that kill the parser.
    """

    def __init__(self, random: Random, poison: frozenset[bytes]) -> None:
        super().__init__(processes=1, seconds=20.0, memory_bytes=0)
        self._random = random
        self._poison = poison

    async def _run_job(self, *job: object) -> object:
        await asyncio.sleep(self._random.random() * LONGEST_JOB_SECONDS)
        if job[1] in self._poison:
            raise PoisonMessage("crash", "the parsing process died twice")
        if not isinstance(job[1], bytes):
            return do_job(*job)  # type: ignore[arg-type]  # the first is the name of the job
        if job not in _results:
            _results[job] = do_job(*job)  # type: ignore[arg-type]
        return _results[job]
