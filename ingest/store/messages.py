"""``Store``: the messages, threads and counts, as the rest of the worker calls them.

Each method opens one transaction and calls the module that has the statements: ``lifecycle``, ``contents``,
``threads`` or ``operator``.

Methods raise ``StoreUnavailable`` if the database cannot do it now; nothing has happened then. ``now`` and all other
times are Unix times in seconds, durations are seconds. If a caller is cancelled, its change is made wholly or not at
all.
"""

from collections.abc import Callable, Mapping, Sequence
from secrets import token_hex

from ingest.model.envelope import QueuedMessage, ReceivedMessage
from ingest.model.loops import NO_LOOP_LIMITS, LoopLimits, Pause
from ingest.model.outcome import Outcome, State
from ingest.model.teachers import Teacher
from ingest.store import (
    Arrival,
    Database,
    Findings,
    Identified,
    Ledger,
    MessageRecord,
    PostClaims,
    PostedAfterDoubt,
    ThreadRecord,
    contents,
    controls,
    facts,
    identification,
    lifecycle,
    loops,
    operator,
    post_claims,
    threads,
)

_COUNT_QUEUED = "SELECT count(*) FROM messages WHERE state = 'queued'"
_SELECT_OLDEST_QUEUED = "SELECT received_at FROM messages WHERE state = 'queued' ORDER BY seq LIMIT 1"
_SELECT_POSITION = "SELECT position FROM source_positions WHERE source = :source"

ORDER_HOLD_SECONDS = 4 * 3600.0
"""Long enough that an operator can mend what holds a ticket up; short enough that its customers are heard today."""
DUPLICATE_WINDOW_SECONDS = 4 * 3600.0
"""Mail servers repeat a mail whose acknowledgement was lost within minutes to hours; people say the same after a
day."""


class Store:
    """The messages in ``database``. The caller migrates the database before, and closes it afterwards."""

    def __init__(
        self,
        database: Database,
        *,
        order_hold: float = ORDER_HOLD_SECONDS,
        duplicate_window: float = DUPLICATE_WINDOW_SECONDS,
        sending_domains: frozenset[str] = frozenset(),
        loop_limits: LoopLimits = NO_LOOP_LIMITS,
        on_post: Callable[[int], None] = lambda _count: None,
    ) -> None:
        """``order_hold``: a message that has been failing for this many seconds blocks its followers no more.
        ``duplicate_window``: two equal mails without Message-ID are one within this many seconds. ``sending_domains``:
        those whose Message-IDs no mail that comes in can teach, in lower case. ``loop_limits``: when a thread is
        paused. ``on_post`` is called before each POST with the number of POSTs so far."""
        self._database = database
        self._on_post = on_post
        self._order_hold = order_hold
        self._sending_domains = sending_domains
        self._duplicate_window = duplicate_window
        self._loop_limits = loop_limits
        self._write, self._read = database.write, database.read

    async def receive(
        self,
        message: ReceivedMessage,
        *,
        queue_id: str,
        dedupe_key: str,
        order_names: Sequence[str] = (),
        is_unnamed: bool = False,
    ) -> str:
        """Store one message as ``receive_all`` does."""
        arrival = Arrival(
            message=message,
            queue_id=queue_id,
            dedupe_key=dedupe_key,
            order_names=tuple(order_names),
            is_unnamed=is_unnamed,
        )
        return (await self.receive_all([arrival]))[0]

    async def receive_all(self, arrivals: Sequence[Arrival]) -> tuple[str, ...]:
        """Store messages durably, and the positions of their sources, all in one transaction.

        Returns for each its queue id, or the queue id of the row which has its ``dedupe_key`` already."""
        window = self._duplicate_window
        return await self._write(
            lambda tx: tuple(
                lifecycle.receive(
                    tx,
                    arrival.message,
                    arrival.queue_id,
                    arrival.dedupe_key,
                    arrival.order_names,
                    repeat_window=window if arrival.is_unnamed else None,
                )
                for arrival in arrivals
            )
        )

    async def claim(self, *, limit: int, now: float, lease: float) -> tuple[QueuedMessage, ...]:
        """Lease up to ``limit`` messages for ``lease`` seconds, in order of arrival: those that are queued, due, leased
        by nobody, and not blocked by an older unfinished message with a common name (``order_keys``)."""
        token, lock, hold = token_hex(8), self._database.claim_lock, self._order_hold
        return await self._write(
            lambda tx: lifecycle.claim(tx, token=token, limit=limit, now=now, lease=lease, hold=hold, claim_lock=lock)
        )

    async def claim_suspect(self, *, now: float, lease: float) -> QueuedMessage | None:
        """Lease one due message of those during which the worker crashed again and again while it held others as well.
        To be worked on alone, so that its crash can be told from that of others. ``None``: there is none."""
        token, hold = token_hex(8), self._order_hold
        return await self._write(lambda tx: lifecycle.claim_suspect(tx, token=token, now=now, lease=lease, hold=hold))

    async def next_due(self, *, now: float) -> float | None:
        """Return the earliest time, ``now`` or later, at which a message can be claimed; ``None``: none is queued."""
        due = await self._read(lifecycle.next_due)
        return None if due is None else max(due, now)

    async def content(self, queue_id: str) -> bytes:
        """Return the content of a message, exactly as received.

        Raises:
            KeyError: there is no such message, or its content is past the retention time.
        """
        return await self._read(lambda tx: contents.read(tx, queue_id))

    async def identify(self, queue_id: str, lease_token: str, findings: Findings, *, now: float) -> Identified:
        """Write what the worker found out about a message, and return how it relates to the others."""
        stuck_before, window = now - self._order_hold, self._duplicate_window
        identified = await self._write(
            lambda tx: identification.identify(
                tx,
                queue_id,
                lease_token,
                findings,
                now=now,
                stuck_before=stuck_before,
                duplicate_window=window,
                loop_limits=self._loop_limits,
            )
        )
        if identified.post_count is not None:
            self._on_post(identified.post_count)
        return identified

    async def paused_threads(self) -> tuple[Pause, ...]:
        """Return the threads that take no mail until an operator resumes them, the longest first."""
        return await self._read(loops.paused)

    async def count_paused_threads(self) -> int:
        """Return how many threads are paused."""
        return await self._read(loops.count_paused)

    async def resume_threads(self, ticket: str, *, sender: str | None, by: str, now: float) -> int:
        """Let mail pass again on a ticket (id or code), of all senders or of one; return how many threads were paused.
        What was held stays so: ``held_by_pause`` names it."""
        return await self._write(lambda tx: loops.resume(tx, ticket, sender, by, now))

    async def held_by_pause(self, ticket: str, *, sender: str | None) -> tuple[str, ...]:
        """Return the queue ids of the messages that wait because a thread of a ticket (id or code) was paused."""
        return await self._read(lambda tx: loops.held(tx, ticket, sender))

    async def begin_post(self, queue_id: str, lease_token: str, *, now: float) -> bool:
        """Write durably that a POST of the message begins now, so that a crash leaves a trace of it. False: the lease
        is lost or over, and the message must not be posted."""
        count = await self._write(lambda tx: identification.begin_post(tx, queue_id, lease_token, now))
        if count is None:
            return False
        self._on_post(count)
        return True

    async def settle(
        self,
        queue_id: str,
        lease_token: str,
        outcome: Outcome,
        *,
        now: float,
        next_attempt_at: float | None = None,
        pair_check_at: float | None = None,
    ) -> bool:
        """Write the outcome of an attempt and all that follows from it. ``next_attempt_at`` applies to ``Deferred``
        only (``None``: at once). ``pair_check_at`` is when to look whether the message is on its ticket twice. False:
        the lease was lost, and nothing is written."""
        hold = self._order_hold
        return await self._write(
            lambda tx: lifecycle.settle(
                tx,
                queue_id,
                lease_token,
                outcome,
                now=now,
                next_attempt_at=next_attempt_at,
                pair_check_at=pair_check_at,
                hold=hold,
                sending_domains=self._sending_domains,
            )
        )

    async def release_leases(self, *, now: float) -> int:
        """End every lease and return how many there were. For the start of the only worker process: what a dead one
        held can be claimed at once."""
        return await self._write(lambda tx: lifecycle.release_leases(tx, now))

    async def pairs_to_check(self, *, now: float, limit: int) -> tuple[PostedAfterDoubt, ...]:
        """Return up to ``limit`` messages that were posted after doubt and for which it is time to look again."""
        return await self._read(lambda tx: lifecycle.pairs_to_check(tx, now, limit))

    async def pair_checked(self, queue_id: str, *, count: int, now: float) -> None:
        """Note how often such a message is on its ticket; it is not looked for again."""
        await self._write(lambda tx: lifecycle.pair_checked(tx, queue_id, count, now))

    async def pass_stuck(self, *, now: float) -> tuple[str, ...]:
        """Let the messages go on that are blocked by one which has been failing for the order hold, and return the
        queue ids of those that are stuck."""
        hold = self._order_hold
        return await self._write(lambda tx: lifecycle.pass_stuck(tx, now, hold))

    async def expire_waiting(self, *, now: float, limit: float) -> int:
        """Quarantine all messages that have been waiting for a parent for more than ``limit`` seconds, and return their
        number."""
        expired = 0
        while batch := await self._write(lambda tx: lifecycle.expire_waiting(tx, now, limit)):
            expired += batch
        return expired

    async def tickets_of(self, message_ids: Sequence[str]) -> dict[str, str | None]:
        """Map each Message-ID to its ticket, or to ``None`` if it is a stub. Ids that the store has never met are left
        out. Aliases are followed."""
        return await self._read(lambda tx: threads.tickets_of(tx, message_ids))

    async def learn(
        self,
        message_id: str,
        ticket_id: str,
        *,
        learned_from: Teacher,
        now: float,
        alias_of: str | None = None,
        force: bool = False,
    ) -> bool:
        """Store the ticket of a Message-ID and requeue the messages that wait for it. What a teacher of the same or a
        higher rank told before stays unless ``force``. False: it stays."""
        return await self._write(
            lambda tx: threads.learn(
                tx, message_id, ticket_id, learned_from=learned_from, now=now, alias_of=alias_of, force=force
            )
        )

    async def waiting_for(self, queue_id: str) -> tuple[str, ...]:
        """Return the Message-IDs that a message waits for; empty if it is not waiting."""
        return await self._read(lambda tx: threads.waiting_for(tx, queue_id))

    async def list_threads(
        self, *, message_id: str | None = None, ticket_id: str | None = None, limit: int = 100
    ) -> tuple[ThreadRecord, ...]:
        """Return the threads learned last, newest first, of one Message-ID or one ticket if these are given."""
        return await self._read(lambda tx: threads.list_threads(tx, message_id, ticket_id, limit))

    async def owners(self, ticket_message_ids: Sequence[str]) -> dict[str, str]:
        """Map each id of a ticket message to the queue id of the message that was posted as it. Other ids are left
        out."""
        return await self._read(lambda tx: post_claims.owners(tx, ticket_message_ids))

    async def post_claims(self, queue_id: str, ticket_message_ids: Sequence[str], digests: Sequence[str]) -> PostClaims:
        """Return what other messages may claim of these ticket messages, by those that have been theirs and by POSTs in
        doubt with one of ``digests``. What another one was held for before its own POST is not in question."""
        return await self._read(lambda tx: post_claims.claims(tx, queue_id, ticket_message_ids, digests))

    async def position(self, source: str) -> str | None:
        """Return the position after which a source continues; ``None``: nothing has been read from it."""
        found = await self._read(lambda tx: tx.execute(_SELECT_POSITION, {"source": source}))
        return found[0][0] if found else None

    async def set_position(self, source: str, position: str) -> None:
        """Store the position after which a source continues, without a message."""
        await self._write(lambda tx: lifecycle.set_position(tx, source, position))

    async def backlog(self) -> int:
        """Return the number of queued messages."""
        return int((await self._read(lambda tx: tx.execute(_COUNT_QUEUED)))[0][0])

    async def oldest_queued(self) -> float | None:
        """Return the time at which the oldest queued message was received; ``None``: none is queued."""
        found = await self._read(lambda tx: tx.execute(_SELECT_OLDEST_QUEUED))
        return found[0][0] if found else None

    async def cells(self) -> dict[str, int]:
        """Count the messages in each cell of the decision table (``Trust.cell``); under ``""`` those of which none is
        stored. Reads all rows."""
        return await self._read(operator.cells)

    async def ledger(self, *, now: float) -> Ledger:
        """Count the messages accepted and those in each state, from one snapshot."""
        return await self._read(lambda tx: operator.ledger(tx, now))

    async def purge(self, *, now: float, older_than: float) -> int:
        """Delete the content of messages delivered or discarded more than ``older_than`` seconds ago, and return their
        number. Works in small batches, so that other writers get their turn."""
        purged = 0
        while batch := await self._write(lambda tx: contents.purge(tx, now - older_than)):
            purged += batch
        return purged

    async def prune(self, *, now: float, older_than: float) -> int:
        """Delete the facts of messages delivered or discarded more than ``older_than`` seconds ago whose content was
        purged, and return their number. Works in small batches, so that other writers get their turn."""
        pruned = 0
        while batch := await self._write(lambda tx: facts.prune(tx, now - older_than)):
            pruned += batch
        return pruned

    async def try_writing(self, *, now: float) -> None:
        """Write and commit a row, to learn whether mail can be stored.

        Raises:
            StoreUnavailable: it cannot.
        """
        await self._write(lambda tx: controls.try_writing(tx, now))

    async def ask(self, control: controls.Control, *, by: str, now: float) -> None:
        """Ask the running worker for something; it looks every second. Without a worker the next one does it."""
        await self._write(lambda tx: controls.ask(tx, control, by, now))

    async def take_controls(self) -> Mapping[controls.Control, str]:
        """Return what the worker is asked for and by whom, and forget it."""
        if not await self._read(controls.is_asked):
            return {}
        return await self._write(controls.take)

    async def make_due(self, *, now: float) -> int:
        """Make every queued message due that waits for a time to come, oldest first, and return their number. Those
        that are blocked by an older one stay so."""
        return await self._write(lambda tx: controls.make_due(tx, now))

    def loss(self) -> str | None:
        """Return how the database was taken away from under us; ``None`` if it is still there. Reads and writes
        nothing."""
        return self._database.loss()

    async def list_messages(
        self, *, state: State | None = None, limit: int = 50, before: str | None = None
    ) -> tuple[MessageRecord, ...]:
        """Return the newest messages first, without their history. ``before``: only those received before the message
        of this queue id, to show page after page."""
        return await self._read(lambda tx: operator.list_messages(tx, state, limit, before))

    async def list_flagged(self, *, limit: int) -> tuple[MessageRecord, ...]:
        """Return the newest flagged messages first, without their history."""
        return await self._read(lambda tx: operator.list_flagged(tx, limit))

    async def message(self, queue_id: str) -> MessageRecord | None:
        """Return one message with its history; ``None``: there is none of this queue id."""
        return await self._read(lambda tx: operator.message(tx, queue_id))

    async def retry(self, queue_id: str, *, by: str, now: float, at_once: bool = False) -> None:
        """Queue a quarantined, failed, waiting or discarded message once more. With ``at_once`` also make a queued one
        due now, as if it had never failed.

        Raises:
            NotPossible: it is in another state, its content was purged, an older message has to go first, or a worker
                has it; the text says so in one line.
        """
        hold = self._order_hold
        if at_once:
            await self._write(lambda tx: operator.retry_at_once(tx, queue_id, by, now, hold))
        else:
            await self._write(lambda tx: operator.retry(tx, queue_id, by, now))

    async def release(
        self, queue_id: str, *, by: str, now: float, ticket: str | None = None, author: str | None = None
    ) -> None:
        """Queue a message as ``retry`` does, and let policy pass it; ``ticket`` needs no other evidence. ``author`` is
        the id or address of the API user to post it as; without, it is posted under the fallback author.

        Raises:
            NotPossible: as for ``retry``.
        """
        await self._write(lambda tx: operator.release(tx, queue_id, by=by, ticket_id=ticket, author=author, now=now))

    async def discard(self, queue_id: str, *, by: str, reason: str, now: float) -> None:
        """End a message that is quarantined, failed, waiting, or queued and not being worked on.

        Raises:
            NotPossible: it is in another state; the text says so in one line.
        """
        await self._write(lambda tx: operator.discard(tx, queue_id, by, reason, now))

    def free_bytes(self) -> int | None:
        """Return the bytes free on the disk of the data; ``None`` if that is not known."""
        return self._database.free_bytes()
