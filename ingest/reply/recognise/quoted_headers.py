"""Blocks of header lines above a quoted mail (``From: … Sent: … To: … Subject: …``) and lines such as
``-----Original Message-----``, in any language."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from itertools import chain

from ingest.languages import Language, Words, all_languages, languages_by_word
from ingest.reply.lines import BodyLine

_LINES = 40
_CONTINUED = 3
_INDENTS = ("    ", "\t")
"""A header that somebody shows, as code."""
_LABEL = 30
_ADDRESS = re.compile(r"[\w.+=-]{1,64}@[\w-]{1,63}")
_YEAR = re.compile(r"(?:19|20|25)\d{2}|\d{1,2}[./-]\d{1,2}[./-]\d{2}|[١٢]\d{3}")
_CLOCK = re.compile(r"\d{1,2} ?[:：.h時时시] ?\d{2}")
_TAGS = re.compile(r"^(?:\s*\[[^\[\]]*\])+")
_PREFIXES = re.compile(r"^(?:\[[^\[\]]{0,40}\] ?|[^\s:：]{1,14} ?[:：] ?)+")
_SUBJECT = 30
_TICKET = re.compile(r"\[[^\[\]]{0,20}\d[^\[\]]{0,20}\]")
_RULE = re.compile(r"[\s>]*(?:[-_=*—–─━‐]\s?){3,}$")
_JOINED = re.compile(r"-{4,80} ?([^-:]{3,60}?) ?-{4,80}([^-:]{1,20}?) ?:")
"""Samsung's header in plain text, all on one line."""
_DASHED = re.compile(r"[-_=*—–─‐]{2,}\s*(.{3,60}?)\s*[-_=*—–─‐]{2,}:?$")


class Role(Enum):
    """What a header label says."""

    FROM = "from"
    SENT = "sent"
    TO = "to"
    CC = "cc"
    SUBJECT = "subject"
    OTHER = "other"


def _labels_by_role(language: Language) -> dict[Role, Words]:
    return {
        Role.FROM: language.header_from,
        Role.SENT: language.header_sent,
        Role.TO: language.header_to,
        Role.CC: language.header_cc,
        Role.SUBJECT: language.header_subject,
        Role.OTHER: language.header_other,
    }


@cache
def _roles_by_label() -> dict[str, frozenset[Role]]:
    roles: dict[str, frozenset[Role]] = {}
    for language in all_languages():
        for role, labels in _labels_by_role(language).items():
            for label in labels:
                roles[label] = roles.get(label, frozenset()) | {role}
    return roles


@cache
def _labels_by_language() -> dict[str, frozenset[str]]:
    return {
        language.name: frozenset(chain.from_iterable(_labels_by_role(language).values()))
        for language in all_languages()
    }


@cache
def _original() -> dict[str, tuple[str, ...]]:
    return languages_by_word(lambda language: language.original_message)


@cache
def _forwarded() -> dict[str, tuple[str, ...]]:
    return languages_by_word(lambda language: language.forwarded_message)


@dataclass(slots=True)
class _Block:
    """Header lines that were collected so far."""

    depth: int = 0
    """Of its first line, in quote marks."""
    fields: list[tuple[str, str]] = field(default_factory=list)
    """Labels and the first lines of their values."""
    labels: list[str] = field(default_factory=list)
    values: list[str] = field(default_factory=list)
    bold: int = 0
    stop: int = 0

    def roles(self) -> set[Role]:
        return {role for label in self.labels for role in _roles_by_label()[label]}

    def convincing(self, *, ruled: bool) -> bool:
        """Whether a mail program wrote this: enough labels, and what only a mail has: a subject, an address, a full
        date. ``From: Berlin / To: Paris / Date: 5 May`` is a journey. Below a rule or a separator, less will do."""
        roles = self.roles()
        if Role.FROM not in roles and not {Role.SENT, Role.TO, Role.SUBJECT} <= roles:
            return False
        joined = " ".join(self.values)
        address = _ADDRESS.search(joined) is not None
        dated = _YEAR.search(joined) is not None and _CLOCK.search(joined) is not None
        labels = len(set(self.labels))
        if ruled or self.bold >= 3:
            return labels >= 3 or (labels == 2 and (address or dated))
        return (labels >= 4 and Role.SUBJECT in roles) or (labels >= 3 and dated and (address or Role.SUBJECT in roles))

    def subject(self) -> str:
        """The first line of the subject."""
        return next((value for label, value in self.fields if Role.SUBJECT in _roles_by_label()[label]), "")

    def languages(self) -> tuple[str, ...]:
        """The languages that have all labels of this block."""
        return tuple(name for name, labels in _labels_by_language().items() if labels.issuperset(self.labels))


@dataclass(frozen=True, slots=True)
class Header:
    """A block or a line that starts a quoted or forwarded mail."""

    stop: int
    """The line after it."""
    languages: tuple[str, ...]
    forwarded: bool
    reason: str
    subject: str = ""
    """Of a block that nothing but its labels sets off; ``""`` where it has none."""


class Reader:
    """Finds headers in one body. What was read in vain is not read again, so that all reading is linear."""

    def __init__(self, lines: Sequence[BodyLine]) -> None:
        self._lines = lines
        self._barren = 0

    def find(self, start: int) -> Header | None:
        """The header block or separator that begins at this line, if one does."""
        text = self._lines[start].plain
        if not text:
            return None
        return (
            _separator(self._lines, start, text)
            or _ruled_block(self._lines, start)
            or (self._block_at(start) if start >= self._barren else None)
        )

    def _block_at(self, start: int) -> Header | None:
        block = _collect(self._lines, start)
        if block is None or self._lines[start].text.startswith(_INDENTS):
            return None
        if not block.convincing(ruled=False):
            self._barren = max(self._barren, block.stop)
            return None
        languages = block.languages()
        return Header(block.stop, languages, False, _named("header block", languages), block.subject())


def is_rule(text: str) -> bool:
    """A line of dashes, underscores or the like, and nothing else."""
    return len(text) <= 300 and _RULE.match(text) is not None


def _separator(lines: Sequence[BodyLine], start: int, text: str) -> Header | None:
    """``-----Original Message-----``, ``---------- Forwarded message ---------``, ``Begin forwarded message:``."""
    joined = _JOINED.match(text)
    if (
        joined is not None
        and joined.group(1).lower() in _original()
        and Role.FROM in _roles_by_label().get(joined.group(2).lower(), ())
    ):
        return Header(start + 1, _original()[joined.group(1).lower()], False, "original message")
    if len(text) > 100 or not (text[:1] in "-_=*—–─‐" or text.endswith((":", "：")) or text.lower() in _original()):
        return None
    dashed = _DASHED.match(text)
    words = (dashed.group(1) if dashed else text).strip(" -_=*—–─‐:：").lower()
    for table, forwarded in ((_forwarded(), True), (_original(), False)):
        if words in table and (dashed or _block_below(lines, start + 1)):
            reason = "forwarded message" if forwarded else "original message"
            return Header(start + 1, table[words], forwarded, _named(reason, table[words]))
    if dashed and (_block_below(lines, start + 1) or _is_unlisted(lines, start + 1)):
        return Header(start + 1, (), False, "original message")
    return None


def _ruled_block(lines: Sequence[BodyLine], start: int) -> Header | None:
    """A line of underscores or dashes, and a header block below it."""
    if not is_rule(lines[start].text):
        return None
    block = _block_below(lines, start + 1)
    if block is not None:
        return Header(block.stop, block.languages(), False, _named("header block", block.languages()))
    return Header(start + 1, (), False, "header block") if _is_unlisted(lines, start + 1) else None


def _block_below(lines: Sequence[BodyLine], start: int) -> _Block | None:
    for at in range(start, min(start + 3, len(lines))):
        if not lines[at].blank:
            block = _collect(lines, at)
            return block if block is not None and block.convincing(ruled=True) else None
    return None


def _is_unlisted(lines: Sequence[BodyLine], start: int) -> bool:
    """A header block in a language that no table has: below a rule, labelled lines with an address and a full date."""
    labelled: list[str] = []
    for line in lines[start : start + _LINES]:
        if line.blank and labelled:
            break
        if not line.blank:
            label, colon, value = line.plain[:300].partition(":")
            if not colon or len(label) > _LABEL:
                break
            labelled.append(value)
    joined = " ".join(labelled)
    found = _ADDRESS.search(joined) and _YEAR.search(joined) and _CLOCK.search(joined)
    return len(labelled) >= 3 and found is not None


def _collect(lines: Sequence[BodyLine], start: int) -> _Block | None:
    """Header lines from here on; a value may be wrapped, and one blank line may stand between two of them. What follows
    the last of them says nothing about them."""
    if label_of(lines[start]) is None:
        return None
    block = _Block(lines[start].depth)
    unlabelled: list[str] = []
    for at in range(start, min(start + _LINES, len(lines))):
        label = label_of(lines[at])
        if block.fields and _begins_another(block, lines, at, label):
            break
        if label is not None and _is_second_sender(block, label) and any(line.blank for line in lines[start:at]):
            return None  # the header begins further down, and labels of somebody's text stand above it
        if label is not None:
            block.fields.append(label)
            block.labels.append(label[0])
            block.values += [*unlabelled, label[1][:200]]
            block.bold += lines[at].text.lstrip("> ").startswith("**")
            block.stop, unlabelled = at + 1, []
            continue
        unlabelled.append(lines[at].plain[:200])
        if len(unlabelled) > (_CONTINUED if _ADDRESS.search(unlabelled[-1]) else 2):
            break
    return block


def _is_second_sender(block: _Block, label: tuple[str, str]) -> bool:
    return _roles_by_label()[label[0]] == {Role.FROM} and Role.FROM in block.roles()


def _begins_another(block: _Block, lines: Sequence[BodyLine], at: int, label: tuple[str, str] | None) -> bool:
    """Whether another block begins here: below dashes, in a quote, or below a blank line with its sender or date."""
    if label is None:
        return is_rule(lines[at].text) or _DASHED.match(lines[at].plain[:100]) is not None
    heads = {Role.FROM} if Role.FROM in block.roles() else {Role.FROM, Role.SENT}
    return lines[at].depth > block.depth or (lines[at - 1].blank and not heads.isdisjoint(_roles_by_label()[label[0]]))


def label_of(line: BodyLine) -> tuple[str, str] | None:
    """A header line's label, in lower case, and its value."""
    head = line.plain[:300]
    at = min((found for found in (head.find(":"), head.find("：")) if found > 0), default=-1)
    if not 0 < at <= _LABEL:
        return None
    label = head[:at].strip(" _[]・").lower()
    return (label, head[at + 1 :].strip()) if label in _roles_by_label() else None


def _named(reason: str, languages: tuple[str, ...]) -> str:
    return f"{reason} ({'/'.join(languages[:3])})" if languages else reason


def is_other_mail(header: Header, subject: str) -> bool:
    """Whether a block is the header of another mail than the one that is answered, pasted to be looked at: its subject
    is another. Who cannot tell says no."""
    theirs, ours = _base(header.subject), _base(subject)
    if not theirs or not ours or theirs.startswith(ours) or ours.startswith(theirs):
        return False
    return _TICKET.search(header.subject) is None  # a help desk's mail, answered under a subject of their own


def _base(subject: str) -> str:
    """A subject without what mail programs and gateways put before it, and without what they wrap or cut off."""
    words = _PREFIXES.sub("", " ".join(subject[:300].split())).casefold()
    return words[:_SUBJECT]


def is_forward(subject: str, languages: Sequence[str]) -> bool:
    """Whether a subject says that the mail was passed on; prefixes count in the language of the header block below,
    because ``VS:`` is a forward in Danish and a reply in Finnish."""
    prefix = _TAGS.sub("", subject[:200]).replace("：", ":").partition(":")[0].strip().lower()
    return any(prefix in language.forward_prefixes for language in all_languages() if _counts(language, languages))


def _counts(language: Language, languages: Sequence[str]) -> bool:
    return language.name == "English" or not languages or language.name in languages
