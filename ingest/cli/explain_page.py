"""The page of ``ingest explain --html``: the text of each mail, with the parts that were cut in grey.

The content comes from strangers. So all of it is escaped, and the page's policy lets it load and run nothing.
"""

import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from ingest.model.message import Segment

_HEAD = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>ingest explain</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1b1b1b }
section { border-top: 1px solid #ccc; padding: 1rem 0 2rem }
h2 { font-size: 1.05rem; overflow-wrap: anywhere }
dl { display: grid; grid-template-columns: 8rem 1fr; margin: 0 }
dt { color: #666 } dd { margin: 0; overflow-wrap: anywhere }
.body { white-space: pre-wrap; overflow-wrap: anywhere; background: #fafafa; padding: 1rem; margin-top: 1rem }
.cut { color: #999 } .cut:hover { color: #555 }
@media (prefers-color-scheme: dark) {
  body { background: #181818; color: #ddd } .body { background: #222 } .cut { color: #777 }
}
</style>
"""

_UNPRINTABLE = re.compile(r"[^\n\t\x20-\x7e\xa0-\ud7ff\ue000-\U0010ffff]")

Item = tuple[str, dict[str, Any], Sequence[Segment]]


def explain_page(items: Iterable[Item]) -> str:
    """Return the page for mails, each given as path, facts as ``--json`` prints them, and segments of the body."""
    return _HEAD + "".join(map(_section, items))


def _section(item: Item) -> str:
    path, told, segments = item
    rows = "".join(f"<dt>{name}<dd>{_safe(value)}\n" for name, value in _rows(told))
    body = "".join(map(_segment, segments))
    return f'<section>\n<h2>{_safe(path)}</h2>\n<dl>\n{rows}</dl>\n<div class="body">{body}</div>\n</section>\n'


def _segment(segment: Segment) -> str:
    text = _safe(segment.text)
    return text if segment.kept else f'<span class="cut" title="{segment.kind}">{text}</span>'


def _safe(text: str) -> str:
    return escape(_UNPRINTABLE.sub("\ufffd", text))


def _rows(told: dict[str, Any]) -> Iterable[tuple[str, str]]:
    message, end, reply = told["message"], told["outcome"], told["reply"]
    yield "from", ", ".join(message["from"])
    yield "subject", message["subject"]
    yield from _trust_rows(told["trust"])
    yield "verdict", " ".join(filter(None, (end["state"], end["rule"], end["reason"])))
    for item in told["resolution"]["evidence"]:
        yield (
            "evidence",
            f"{item['strength']} {item['signal']} {item['value']} → {item['ticket_id'] or 'no ticket'} {item['note']}",
        )
    for item in message["attachments"]:
        yield "attachment", f"{item['filename']} ({item['content_type']}, {item['size']} bytes)"
    for defect in message["defects"]:
        yield "defect", defect
    yield "reply", f"{reply['how']}, confidence {reply['confidence']}"


def _trust_rows(trust: dict[str, Any]) -> Iterable[tuple[str, str]]:
    if trust["treatment"] is None:
        return
    other = trust["other_mode"]
    yield "sender", trust["who"]
    yield "authentication", " ".join(filter(None, (trust["authentication"], trust["domain"], trust["reason"])))
    yield "evidence level", trust["evidence_level"]
    yield "treatment", trust["treatment"]
    yield f"if {other['mode']}", other["treatment"]
    if trust["flag"]:
        yield "flagged", trust["flag"]
