"""How many delivery reports, complaints and automatic replies of a folder are recognised, and how many are tied to the
mail that they speak of: `python -m benchmarks.bounces FOLDER`.
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

from ingest import screening
from ingest.model.envelope import Envelope
from ingest.model.local_addresses import LocalAddresses
from ingest.model.message import ParsedMessage
from ingest.parse import parse
from ingest.sources.imap.mail import reverse_path

RECIPIENT = "help@mail.bench.example"
LOCAL = LocalAddresses(domains=frozenset({"mail.bench.example"}), recipients=frozenset({"*"}), max_received=50)


@dataclass(frozen=True, slots=True, kw_only=True)
class BounceFigures:
    """What was found in a folder of machine mail."""

    mails: int
    recognised: int
    """Mails that the screening takes for a machine's."""
    with_original_id: int
    """Mails whose report tells the Message-ID of the mail that it is about."""
    tied: int
    """Mails whose report tells that Message-ID, or a recipient of that mail."""
    slowest_seconds: float
    """The longest time that reading and screening one mail took."""
    missed: tuple[str, ...]
    """The names of the files that were not recognised."""


def measure(folder: Path) -> BounceFigures:
    """Read and screen every mail of ``folder``, as one that was fetched from a mailbox: with Return-Path as its only
    envelope, where it has one."""
    mails = with_id = tied = 0
    slowest, missed = 0.0, []
    for path in sorted(folder.glob("*.eml")):
        content, began = path.read_bytes(), time.perf_counter()
        message, is_machine = _screened(content)
        slowest = max(slowest, time.perf_counter() - began)
        mails += 1
        missed += [] if is_machine else [path.name]
        report = message.delivery_report
        with_id += report is not None and report.original_message_id is not None
        tied += report is not None and (report.original_message_id is not None or bool(report.recipients))
    return BounceFigures(
        mails=mails,
        recognised=mails - len(missed),
        with_original_id=with_id,
        tied=tied,
        slowest_seconds=slowest,
        missed=tuple(missed),
    )


def _screened(content: bytes) -> tuple[ParsedMessage, bool]:
    envelope = Envelope(mail_from=reverse_path(content), rcpt_tos=(RECIPIENT,))
    message = screening.settle_report(parse(content), envelope)
    verdict = screening.screen(message, envelope, LOCAL)
    return message, verdict is not None and verdict.is_machine


if __name__ == "__main__":
    figures = measure(Path(sys.argv[1]))
    sys.stdout.write(
        f"{figures.recognised} of {figures.mails} recognised; {figures.with_original_id} with the Message-ID of the"
        f" mail, {figures.tied} with that or a recipient; slowest {figures.slowest_seconds * 1000:.0f} ms\n"
        f"missed: {', '.join(figures.missed) or 'none'}\n"
    )
