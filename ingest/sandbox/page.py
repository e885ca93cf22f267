"""The page at `/`: the tickets on the left, the messages of one on the right. It reloads its content every second."""

import secrets
from collections.abc import Awaitable, Callable
from html import escape
from string import Template

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from ingest.sandbox.records import Record
from ingest.sandbox.state import ApiError, SandboxState

MAX_SHOWN = 200
"""Tickets and messages on one page; the newest are shown."""

_STYLE = """
:root { color-scheme: light dark; --line: light-dark(#e2e2e6, #38383e); --soft: light-dark(#6a6a72, #9b9ba4);
  --card: light-dark(#fff, #202024); --accent: light-dark(#3552c9, #93a7ff); --note: light-dark(#fff6d8, #3a3420); }
* { box-sizing: border-box }
body { margin: 0; font: 15px/1.5 system-ui, sans-serif; background: light-dark(#f5f5f7, #161618) }
header { padding: .8rem 1.2rem; border-bottom: 1px solid var(--line); background: var(--card) }
header b { margin-right: .6rem } header span, .soft { color: var(--soft); font-size: .86em }
main { display: grid; grid-template-columns: minmax(16rem, 24rem) 1fr; height: calc(100vh - 3.2rem) }
nav, section { overflow-y: auto } nav { border-right: 1px solid var(--line) }
nav a { display: block; padding: .6rem 1.2rem; border-bottom: 1px solid var(--line); color: inherit }
nav a { text-decoration: none }
nav a:hover, nav a.here { background: var(--card) } nav a.here { box-shadow: inset 3px 0 var(--accent) }
nav code { color: var(--accent) } section { padding: 1.2rem }
h1 { font-size: 1.2rem; margin: 0 } article { background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; margin: .9rem 0; padding: .7rem 1rem; max-width: 52rem }
article.private { background: var(--note) } code { overflow-wrap: anywhere }
pre { font: inherit; white-space: pre-wrap; overflow-wrap: anywhere; margin: .4rem 0 0 }
@media (max-width: 44rem) { main { grid-template-columns: 1fr; height: auto } nav { max-height: 40vh; border: 0 } }
"""

_SCRIPT = """
setInterval(async () => {
  const answer = await fetch(location.href).catch(() => null);
  if (!answer || !answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const pane of ["nav", "section"]) {
    const [old, now] = [document.querySelector(pane), fresh.querySelector(pane)];
    if (old.innerHTML !== now.innerHTML) old.innerHTML = now.innerHTML;
  }
}, 1000);
"""

_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Sandbox: tickets</title><style nonce="$nonce">$style</style></head>
<body><header><b>Sandbox</b><span>a stand-in for the ticket API; newest first</span></header>
<main><nav>$tickets</nav><section>$messages</section></main>
<script nonce="$nonce">$script</script></body></html>
""")

_TICKET = Template(
    '<a class="$here" href="/?ticket=$code"><code>$code</code> <span class="soft">$status · $changed</span><br>'
    "<bdi>$title</bdi></a>"
)
_HEAD = Template('<h1 dir="auto">$title</h1><div class="soft">$code · asked by $requester</div>')
_MESSAGE = Template(
    '<article class="$kind"><b>$name</b> <span class="soft">$about</span><pre dir="auto">$content</pre>'
    '<div class="soft">$files</div><code class="soft">$message_id</code></article>'
)


def page(state: SandboxState) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint. `?ticket=` names the ticket whose messages are shown; without it, the one changed last."""

    async def endpoint(request: Request) -> Response:
        tickets = sorted(state.tickets.values(), key=lambda ticket: str(ticket["updatedAt"]), reverse=True)[:MAX_SHOWN]
        chosen = _chosen(state, request.query_params.get("ticket"), tickets)
        return _answer(
            tickets="".join(_ticket(ticket, ticket is chosen) for ticket in tickets),
            messages=_messages(state, chosen) if chosen else "<p>No such ticket.</p>",
        )

    return endpoint


def _answer(**panes: str) -> Response:
    """Fill the page. Its Content-Security-Policy loads nothing from elsewhere and runs no script but ours, so that the
    HTML of a message cannot do harm."""
    nonce = secrets.token_urlsafe(16)
    policy = f"default-src 'none'; connect-src 'self'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'"
    html = _PAGE.substitute(nonce=nonce, style=_STYLE, script=_SCRIPT, **panes)
    return HTMLResponse(html, headers={"Content-Security-Policy": policy, "Cache-Control": "no-store"})


def _fill(template: Template, **texts: str) -> str:
    """Fill a template. All texts are escaped here, and nowhere else."""
    return template.substitute({name: escape(text) for name, text in texts.items()})


def _chosen(state: SandboxState, identifier: str | None, tickets: list[Record]) -> Record | None:
    try:
        return state.ticket(identifier) if identifier else tickets[0]
    except (ApiError, IndexError):
        return None


def _code(ticket: Record) -> str:
    return f"{ticket['queue']['prefix']}-{ticket['number']}"


def _ticket(ticket: Record, is_here: bool) -> str:
    return _fill(
        _TICKET,
        here="here" if is_here else "",
        code=_code(ticket),
        status="Merged" if ticket["mergedIntoId"] else ticket["status"]["label"],
        changed=_moment(ticket["updatedAt"]),
        title=ticket["title"],
    )


def _messages(state: SandboxState, ticket: Record) -> str:
    requester = state.users.get(ticket["requesterId"] or "", {}).get("email", "nobody")
    head = _fill(_HEAD, title=ticket["title"], code=_code(ticket), requester=requester)
    attached = state.attachments_of(ticket["id"])
    shown = state.messages_of(ticket["id"])[-MAX_SHOWN:]
    return head + ("".join(_message(message, attached) for message in shown) or "<p>No messages yet.</p>")


def _message(message: Record, attached: list[Record]) -> str:
    author = message["author"]
    about = (author["email"], message["source"], message["private"] and "private note", _moment(message["createdAt"]))
    files = [file["filename"] for file in attached if file["ticketMessageId"] == message["id"]]
    return _fill(
        _MESSAGE,
        kind="private" if message["private"] else "public",
        name=" ".join(filter(None, (author["firstName"], author["lastName"]))) or author["email"],
        about=" · ".join(filter(None, about)),
        content=message["content"],
        files=f"Attached: {', '.join(files)}" if files else "",
        message_id=message["emailMessageId"] or "",
    )


def _moment(timestamp: str) -> str:
    return timestamp[:19].replace("T", " ")
