"""Looks every second whether the database is still there, and whether a command has asked the worker for something."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from ingest import log
from ingest.store import StoreUnavailable
from ingest.store.controls import Control
from ingest.store.messages import Store

LOOK_SECONDS = 1.0
"""Pause between two looks. Mail that is acknowledged after its file was removed is lost if the machine stops before the
next look; a look costs three system calls and one short read."""

_log = log.get("watch")


class DatabaseLost(Exception):
    """The database was removed or replaced under the running worker. The text says how."""


class DatabaseWatch:
    """Looks for as long as the worker runs."""

    def __init__(self, store: Store, *, clock: Callable[[], float], on_resume: Callable[[], None]) -> None:
        """``on_resume`` is called when somebody wants mail to be sent again although the API asked for a pause."""
        self._store = store
        self._clock = clock
        self._on_resume = on_resume

    async def run(self) -> None:
        """Look every ``LOOK_SECONDS``.

        Raises:
            DatabaseLost: the database is gone. What was committed is in its file by now, wherever that lies, if the
                file still has a name.
        """
        while True:
            await self._check_database()
            with suppress(StoreUnavailable):
                await self.obey()
            await asyncio.sleep(LOOK_SECONDS)

    async def obey(self) -> None:
        """Do what a command has asked for.

        Raises:
            StoreUnavailable: the store does not answer; it is asked again.
        """
        for control, by in (await self._store.take_controls()).items():
            match control:
                case Control.RESUME:
                    due = await self._store.make_due(now=self._clock())
                    _log.warning("sending goes on as asked by an operator", by=by, messages_due=due)
                    self._on_resume()

    async def _check_database(self) -> None:
        reason = self._store.loss()
        if reason is None:
            return
        try:
            await self._store.try_writing(now=self._clock())  # the store saves what it can before it refuses this
        except StoreUnavailable as error:
            reason = str(error)
        _log.error(
            "the database was taken away under the running worker; the worker ends",
            reason=reason,
            to_do="put the file back if it was moved, then start the worker; docs/operations.md says what was saved",
        )
        raise DatabaseLost(reason)
