"""Reads what other mail servers found out about a mail: Authentication-Results (RFC 8601).

Anybody can write this field into a mail. What counts is only the topmost run of such fields, and in it only those whose
authserv-id the operator names: they were written by the relay or the mailbox provider that handed the mail to us.
``docs/decisions/results-of-others.md`` has the dangers that remain.

Everything is linear in the length of the fields, which are bounded.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import NamedTuple

from ingest.authentication.domain_names import to_ascii
from ingest.model.trust import Authentication, AuthenticationResult

GOOGLE = "google"
"""Name for the fields that Gmail and Google Workspace write."""
MICROSOFT = "microsoft"
"""Name for the fields that Microsoft 365 and Outlook.com write: they have no authserv-id."""
MAX_FIELDS = 10
"""Fields that are read: a checker writes one, and there are rarely more than three."""
MAX_FIELD_CHARACTERS = 8192
"""Length of a field that is read. One with a hundred DKIM signatures is longer, and proves nothing."""
MAX_METHODS = 100
"""Results that one field may have; one with more says nothing."""
MAX_COMMENT_DEPTH = 10
"""Comments inside comments; deeper ones make the field unreadable."""

_NO_SERVER = ""
"""Stands for the authserv-id of fields without one. No field can have it."""
_IDS_OF_NAMES = {GOOGLE: "mx.google.com", MICROSOFT: _NO_SERVER}
_ONE_FIELD_EACH = frozenset(_IDS_OF_NAMES.values())
"""Servers that write exactly one field: what stands below it is not theirs, whatever it says."""
_FORGING_SIGNS = re.compile(r'[\s"();\\]')
"""Signs in a reverse-path by which a sender could close a comment or a value in a field of a careless server."""
_POLICY = re.compile(r"(?:^|[\s;,])(?:p|policy|action)\s*=\s*[\"']?([a-z]+)", re.IGNORECASE)
_REFUSING = frozenset({"reject", "quarantine", "oreject"})
"""Policies of DMARC that want the mail refused; ``oreject`` is Microsoft's word for one that it did not follow."""


class _TokenKind(Enum):
    WORD = auto()
    QUOTED = auto()
    COMMENT = auto()
    SPACE = auto()
    EQUALS = auto()
    SEMICOLON = auto()


class _Token(NamedTuple):
    kind: _TokenKind
    text: str


_PIECE = re.compile(r'"((?:[^"\\]|\\.)*+)"|(;)|(=)|([ \t\r\n]+)|([^"();=\s\\]+)', re.DOTALL)
_KINDS = (_TokenKind.QUOTED, _TokenKind.SEMICOLON, _TokenKind.EQUALS, _TokenKind.SPACE, _TokenKind.WORD)
_COMMENT_PIECE = re.compile(r"([()])|\\.|[^()\\]+", re.DOTALL)


class _Unreadable(Exception):
    """The field does not follow the grammar far enough to say what it means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodResult:
    """The result of one method, such as ``dkim=pass header.d=customer.example``."""

    method: str
    result: str
    properties: dict[str, str] = field(default_factory=dict)
    """Properties by ``ptype.property`` in lower case. One that is given twice with different values is missing."""
    comment: str = ""
    """The comments, with spaces between them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultsField:
    """One Authentication-Results field (RFC 8601): the server that wrote it, and what it found out."""

    server: str
    """The authserv-id in lower case; empty in Microsoft's form, which has none."""
    results: tuple[MethodResult, ...]

    @property
    def shown_server(self) -> str:
        """The server in words for people."""
        return self.server or "Microsoft"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldPass:
    """A domain that a trusted server found to have signed the mail, or to permit its sender's server."""

    domain: str
    is_dkim: bool
    """By a DKIM signature; else by SPF."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldResults:
    """What trusted servers say about a mail."""

    verdict: AuthenticationResult | None = None
    """What they say about the author's domain: by DMARC, or by a signature or SPF of that very domain. ``None``:
    nothing."""
    reason: str = ""
    """Which server says it, and how; or why nothing that they say counts."""
    passes: tuple[ToldPass, ...] = ()
    """Other domains that passed; they prove the author's domain where they are aligned with it. None where DMARC says
    something, because alignment is a part of it."""

    def about(self, author_domain: str) -> Authentication:
        """Return what is known about the author's domain by these results alone."""
        result = self.verdict or AuthenticationResult.NOTHING_KNOWN
        return Authentication(result=result, domain=author_domain, reason=self.reason)

    def beside(self, own: Authentication) -> Authentication:
        """Return what is known by our own checks and these results together.

        Proof counts, whoever has it: a relay saw the mail before it was changed, we may know a key that it could not
        get. A refusal counts where nothing proves the mail."""
        if own.result is not AuthenticationResult.NOTHING_KNOWN or not self.reason:
            return own
        if self.verdict in (AuthenticationResult.PROVEN, AuthenticationResult.FAILED):
            return replace(own, result=self.verdict, reason=self.reason)
        return replace(own, reason=f"{own.reason}; {self.reason}" if own.reason else self.reason)


NOTHING_TOLD = ToldResults()


def read_told(
    fields: Sequence[str], trusted: Sequence[str], *, author_domain: str, reverse_path: str = ""
) -> ToldResults:
    """Return what the trusted servers say about the domain in From.

    Args:
        fields: the topmost run of Authentication-Results fields, undecoded, the topmost first.
        trusted: authserv-ids in lower case; ``*.provider.example`` stands for all names below it, ``GOOGLE`` and
            ``MICROSOFT`` for the fields of these.
        author_domain: the domain in From, as A-labels in lower case.
        reverse_path: the reverse-path of the envelope, which servers repeat in their results.
    """
    results = [(told.shown_server, result) for told in trusted_fields(fields, trusted) for result in told.results]
    if not results or not author_domain:
        return NOTHING_TOLD
    if _FORGING_SIGNS.search(reverse_path):
        return ToldResults(reason="the reverse-path has signs by which results can be forged")
    verdicts = [(server, result) for server, result in results if _is_verdict(result)]
    if verdicts:
        return _dmarc(verdicts, author_domain)
    passes = tuple(_passes(results))
    own = next((one for one in passes if one.domain == author_domain), None)
    return (
        ToldResults(passes=passes)
        if own is None
        else ToldResults(verdict=AuthenticationResult.PROVEN, reason=own.reason)
    )


def trusted_fields(fields: Sequence[str], trusted: Sequence[str]) -> Iterator[ResultsField]:
    """Yield the topmost fields as long as they are of servers that are trusted.

    The first that is not, or that cannot be read, ends them: whatever is below it was there before."""
    for text in fields[:MAX_FIELDS]:
        found = parse_field(text)
        if found is None or not is_trusted(found.server, trusted):
            return
        yield found
        if found.server in _ONE_FIELD_EACH:
            return


def is_trusted(server: str, trusted: Sequence[str]) -> bool:
    """Return whether an authserv-id is one of those that are trusted."""
    for name in trusted:
        pattern = _IDS_OF_NAMES.get(name, name)
        if server == pattern or (pattern.startswith("*.") and server.endswith(pattern[1:])):
            return True
    return False


# What the results mean


def _is_verdict(result: MethodResult) -> bool:
    return result.method == "dmarc" and result.result in ("pass", "fail")


def _dmarc(verdicts: Sequence[tuple[str, MethodResult]], author_domain: str) -> ToldResults:
    """Return what DMARC says. Several results that differ say nothing: one of them may have been smuggled in."""
    if len({(result.result, _domain(result, "header.from")) for _server, result in verdicts}) > 1:
        return ToldResults(reason="the results of DMARC contradict each other")
    server, result = verdicts[0]
    if _domain(result, "header.from") != author_domain:
        return ToldResults(reason=f"{server} tells the DMARC result of another domain than that of From")
    reason = f"{server} says dmarc={result.result} for {author_domain}"
    if result.result == "pass":
        return ToldResults(verdict=AuthenticationResult.PROVEN, reason=reason)
    policy = _policy(result)
    if policy in _REFUSING:
        return ToldResults(verdict=AuthenticationResult.FAILED, reason=f"{reason}, whose policy is {policy}")
    return ToldResults(verdict=AuthenticationResult.NOTHING_KNOWN, reason=f"{reason}, and no policy that refuses it")


def _policy(result: MethodResult) -> str:
    """Return the policy of the domain: servers write it into a comment (``p=REJECT``), Microsoft tells what it did."""
    for name in ("policy.published-domain-policy", "policy.dmarc", "policy.p"):
        if name in result.properties:
            return result.properties[name].lower()
    action = result.properties.get("action", "").rpartition(".")[2].lower()
    found = _POLICY.search(result.comment)
    return action or (found[1].lower() if found is not None else "")


def _passes(results: Sequence[tuple[str, MethodResult]]) -> Iterator[ToldPass]:
    for server, result in results:
        if result.result != "pass":
            continue
        if result.method == "dkim" and (domain := _domain(result, "header.d") or _domain(result, "header.i")):
            yield ToldPass(domain=domain, is_dkim=True, reason=f"{server} found the DKIM signature of {domain} good")
        if result.method == "spf" and (domain := _domain(result, "smtp.mailfrom")):
            yield ToldPass(
                domain=domain, is_dkim=False, reason=f"{server} says that SPF of {domain} permits its client"
            )


def _domain(result: MethodResult, name: str) -> str:
    return to_ascii(result.properties.get(name, "").rpartition("@")[2])


# Reading a field


def parse_field(text: str) -> ResultsField | None:
    """Return what one field says; ``None`` where it cannot be read, or is of a version that we do not know.

    Args:
        text: the value of the field, folded or not. Encoded words are left as they are: a server repeats what a sender
            wrote, and to decode that would let it look like the server's own words.
    """
    if len(text) >= MAX_FIELD_CHARACTERS:
        return None
    try:
        return _field(_segments(_tokens(text)))
    except _Unreadable:
        return None


def _field(segments: list[list[_Token]]) -> ResultsField:
    head, *rest = segments
    if any(token.kind is _TokenKind.EQUALS for token in head):  # spf=pass (...) ...; Microsoft names no server
        server, rest = _NO_SERVER, segments
    else:
        server = _server(head)
    if len(rest) > MAX_METHODS:
        raise _Unreadable
    return ResultsField(server=server, results=tuple(filter(None, map(_method, rest))))


def _server(head: list[_Token]) -> str:
    """Return the authserv-id. A version other than 1 may mean something that we do not know (RFC 8601 section 2.2)."""
    values = [token.text for token in head if token.kind in (_TokenKind.WORD, _TokenKind.QUOTED)]
    if not values or not values[0] or len(values) > 2 or (len(values) == 2 and values[1] != "1"):
        raise _Unreadable
    return values[0].lower()


def _method(segment: list[_Token]) -> MethodResult | None:
    """Return the result that stands between two semicolons; ``None`` for ``none``, and for what is none, such as the
    name of the recipient's organisation in older fields of Microsoft."""
    comment = " ".join(token.text for token in segment if token.kind is _TokenKind.COMMENT)
    pairs = list(_pairs(_joined(segment)))
    if not pairs:
        return None
    method, result = pairs[0]
    properties: dict[str, str] = {}
    for name, value in pairs[1:]:
        properties[name] = value if properties.get(name, value) == value else ""
    return MethodResult(
        method=method.partition("/")[0],
        result=result.lower(),
        properties={name: value for name, value in properties.items() if value},
        comment=comment,
    )


def _joined(segment: list[_Token]) -> list[_Token]:
    """Drop comments, and the white space around ``=`` and around a dot or a slash that stands alone: the grammar allows
    it there (``policy (so) . (what) expired``)."""
    joined: list[_Token] = []
    is_open = True
    for token in segment:
        if token.kind in (_TokenKind.COMMENT, _TokenKind.SPACE):
            if not is_open:
                joined.append(_Token(_TokenKind.SPACE, " "))
            continue
        is_link = token.kind is _TokenKind.EQUALS or token.text in (".", "/")
        while is_link and joined and joined[-1].kind is _TokenKind.SPACE:
            joined.pop()
        joined.append(token)
        is_open = is_link
    return joined


def _pairs(tokens: list[_Token]) -> Iterator[tuple[str, str]]:
    """Yield ``name=value`` pairs. What else stands there says nothing that we need."""
    words: list[str] = []
    name = ""
    for token in [*tokens, _Token(_TokenKind.SPACE, " ")]:
        if token.kind is _TokenKind.SPACE:
            if name:
                yield name, "".join(words)
            words, name = [], ""
        elif token.kind is _TokenKind.EQUALS and not name:
            words, name = [], "".join(words).lower()
        else:
            words.append(token.text)


def _segments(tokens: Iterator[_Token]) -> list[list[_Token]]:
    segments: list[list[_Token]] = [[]]
    for token in tokens:
        if token.kind is _TokenKind.SEMICOLON:
            segments.append([])
        else:
            segments[-1].append(token)
    return segments


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    while position < len(text):
        if text[position] == "(":
            comment, position = _comment(text, position)
            yield _Token(_TokenKind.COMMENT, comment)
            continue
        match = _PIECE.match(text, position)
        if match is None:  # a quote or a bracket without its other half, a backslash outside quotes
            raise _Unreadable
        position = match.end()
        kind = _KINDS[(match.lastindex or 1) - 1]
        value = re.sub(r"\\(.)", r"\1", match[1], flags=re.DOTALL) if kind is _TokenKind.QUOTED else match[0]
        yield _Token(kind, value)


def _comment(text: str, start: int) -> tuple[str, int]:
    """Return the text of the comment that begins at ``start``, and the position after it."""
    depth = 0
    for piece in _COMMENT_PIECE.finditer(text, start):
        depth += {"(": 1, ")": -1}.get(piece[0], 0)
        if depth > MAX_COMMENT_DEPTH:
            raise _Unreadable
        if depth == 0:
            return text[start + 1 : piece.start()], piece.end()
    raise _Unreadable
