"""``ingest explain``: what would happen to each mail, and why."""

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Any

import typer

from ingest.authentication.author import find_author
from ingest.cli import output
from ingest.cli.dry_run import Explanation, open_dry_run
from ingest.cli.exit_codes import ExitCode
from ingest.cli.explain_page import explain_page
from ingest.cli.trust_facts import other_mode_in_words, trust_facts, trust_in_words
from ingest.config.settings import Settings, load
from ingest.decision import Decision
from ingest.model.author import AuthorFault
from ingest.model.message import Attachment, ParsedMessage
from ingest.model.outcome import Delivered, Outcome, Waiting
from ingest.sources import replay

Paths = Annotated[list[Path], typer.Argument(metavar="PATH", help=".eml, mbox, Maildir, or folders of them.")]
Show = Callable[[Explanation], None]

NO_MESSAGE = ParsedMessage(message_id=None)


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("explain")(explain)


def explain(
    paths: Paths,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line and mail.")] = False,
    html: Annotated[
        bool, typer.Option("--html", help="A page to look at, with the parts that are cut greyed.")
    ] = False,
) -> int:
    """Show what would happen to each mail, and why.

    The evidence, who the sender is and how that is known, the verdict, the content, and what was cut. Nothing is stored
    or posted.

    It needs neither a database nor an API. The database of INGEST_DATABASE_URL is asked where it exists, and the
    ticket API where RAVENNA_API_TOKEN is set. Without INGEST_DOMAINS every recipient counts as one of ours.

    Exit code 0, or 5 where a mail could not be read.
    """
    settings = load(os.environ)
    replay.check_paths(paths)
    if html:
        return asyncio.run(_write_page(settings, paths))
    return asyncio.run(_explain(settings, paths, _emit if json else _tell))


async def _explain(settings: Settings, paths: list[Path], show: Show) -> int:
    unread = 0
    mails = replay.read_mails(paths, limit=settings.max_message_bytes)
    async with open_dry_run(settings) as dry_run, aclosing(dry_run.explain_all(mails)) as explained:
        async for item in explained:
            if isinstance(item, Explanation):
                show(item)
            elif not item.foreign:
                output.note(f"ingest: {item.path}: {item.reason}")
                unread += 1
    return ExitCode.PERSON_NEEDED if unread else ExitCode.OK


async def _write_page(settings: Settings, paths: list[Path]) -> int:
    found: list[Explanation] = []
    code = await _explain(settings, paths, found.append)
    sys.stdout.write(explain_page((item.path, facts(item), item.reply.segments) for item in found))
    return code


def facts(item: Explanation) -> dict[str, Any]:
    """The explanation as ``--json`` prints it."""
    decision, message = item.decision, item.decision.message or NO_MESSAGE
    return {
        "path": item.path,
        "message": {
            "message_id": message.message_id,
            "in_reply_to": list(message.in_reply_to),
            "references": list(message.references),
            "from": [address.addr_spec for address in message.from_],
            "to": [address.addr_spec for address in message.to],
            "subject": message.subject,
            "date": message.date,
            "body": item.reply.body,
            "attachments": list(map(_attachment, message.attachments)),
            "defects": [str(defect) for defect in message.defects],
        },
        "reply": {
            "content": item.reply.content,
            "elided": item.reply.elided,
            "confidence": item.reply.confidence.label,
            "how": item.reply.method,
        },
        "resolution": {
            "ticket_id": decision.resolution.ticket_id,
            "conflict": decision.resolution.conflict,
            "evidence": [evidence.facts() for evidence in decision.resolution.evidence],
        },
        "trust": _trust(item),
        "outcome": outcome(decision),
    }


def _trust(item: Explanation) -> dict[str, Any]:
    decision = item.decision
    is_read = decision.message is not None
    told = trust_facts(
        decision.trust,
        authentication=decision.authentication if is_read else None,
        level=decision.resolution.level if is_read else None,
    )
    other = item.other_treatment.value if item.other_treatment is not None else None
    return told | {
        "flag": decision.flag,
        "from_machine": decision.is_from_machine,
        "mode": item.mode.value,
        "other_mode": {"mode": item.mode.other.value, "treatment": other},
    }


def _author(item: Explanation) -> Iterator[str]:
    """Yield what is to be said about the author: why there is none, or what a reader should know."""
    author = find_author(item.decision.message or NO_MESSAGE)
    found = (author,) if isinstance(author, AuthorFault) else author.remarks
    return (f"{'author':12} {one.meaning}" for one in found)


def outcome(decision: Decision) -> dict[str, str | None]:
    """State, rule and reason of what would become of the mail."""
    end = decision.outcome
    if end is None:
        return {"state": Delivered.state, "rule": None, "reason": _would_be_posted(decision)}
    return {"state": end.state, "rule": getattr(end, "rule", None), "reason": _reason(end)}


def _would_be_posted(decision: Decision) -> str:
    draft = decision.draft
    if draft is None:
        return ""
    kind = "a private note" if draft.private else "a message"
    return f"it would be posted to ticket {draft.ticket_id} as {kind} of {draft.author_id}"


def _reason(end: Outcome) -> str:
    if isinstance(end, Waiting):
        return f"it waits for {', '.join(end.missing)}"
    return "" if isinstance(end, Delivered) else end.reason


def _attachment(attachment: Attachment) -> dict[str, str | int]:
    return {name: getattr(attachment, name) for name in ("filename", "content_type", "size", "sha256")}


def _emit(item: Explanation) -> None:
    output.emit(facts(item))


def _tell(item: Explanation) -> None:
    told = facts(item)
    output.say(f"=== {item.path}")
    for line in [
        *_header(told),
        *_author(item),
        "",
        *_evidence(told),
        "",
        *_decided(item),
        *_verdict(told),
        "",
        *_text(told),
        "",
    ]:
        output.say(line)


def _header(told: dict[str, Any]) -> Iterator[str]:
    message = told["message"]
    for name in ("from", "to", "subject", "date", "message_id", "in_reply_to", "references"):
        value = message[name]
        yield f"{name.replace('_', '-'):12} {' '.join(value) if isinstance(value, list) else value or ''}"
    for item in message["attachments"]:
        yield f"{'attachment':12} {item['filename']} ({item['content_type']}, {item['size']} bytes)"
    for defect in message["defects"]:
        yield f"{'defect':12} {defect}"


def _evidence(told: dict[str, Any]) -> Iterator[str]:
    found = told["resolution"]["evidence"]
    yield "evidence:" if found else "evidence:    none"
    for item in found:
        ticket = item["ticket_id"] or "no ticket"
        note = f"  ({item['note']})" if item["note"] else ""
        yield f"  {item['strength']:7} {item['signal']:18} {item['value']} -> {ticket}{note}"


def _decided(item: Explanation) -> Iterator[str]:
    """Yield the cell of the decision table, and what the other mode of authentication would do; nothing where the table
    was not asked."""
    trust = item.decision.trust
    if trust is None or item.other_treatment is None:
        return
    yield from (f"{f'{name}:':15} {sentence}" for name, sentence in trust_in_words(trust))
    yield f"{'':15} {other_mode_in_words(item.mode, trust.treatment, item.other_treatment)}"
    if item.decision.flag:
        yield f"{'flagged:':15} {item.decision.flag}"
    yield ""


def _verdict(told: dict[str, Any]) -> Iterator[str]:
    end = told["outcome"]
    rule = f" by rule {end['rule']}" if end["rule"] else ""
    yield f"verdict:     {end['state']}{rule}: {end['reason']}"


def _text(told: dict[str, Any]) -> Iterator[str]:
    reply = told["reply"]
    yield f"content ({reply['how']}, confidence {reply['confidence']}):"
    yield from (f"  | {line.expandtabs()}" for line in reply["content"].splitlines())
    if reply["elided"]:
        yield "cut:"
        yield from (f"  - {line.expandtabs()}" for line in reply["elided"].splitlines())
