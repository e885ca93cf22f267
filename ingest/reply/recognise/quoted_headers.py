"""Finds header lines above a quoted or forwarded mail (``From: … Sent: … To: … Subject: …``) and separators such as
``-----Original Message-----``, in any language."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from itertools import chain

from ingest.languages import Language, Words, all_languages, languages_by_word
from ingest.model.reasons import CutReason, Recognised, in_languages
from ingest.reply.lines import LOCAL_PART, BodyLine

_MAX_HEADER_LINES = 40
"""A header block has at most this many lines, with wrapped lists of recipients. It bounds the cost."""
_MAX_WRAPPED_LINES = 3
"""A list of addresses may be wrapped over this many lines without a label."""
_MAX_WRAPPED_LINES_WITHOUT_ADDRESS = 2
"""A value without addresses, such as a subject, may be wrapped over this many lines; more lines are text."""
_OWN_DATE_LINES = 6
"""Below the sender, the date of the same block is in one of so many lines, with blank ones between the fields."""
_BLOCK_SEARCH_LINES = 3
"""Below a separator or a rule, a header block begins within this many lines: blank ones stand between."""
_MAX_RULE_CHARACTERS = 300
"""A line of dashes is no longer than this many characters; it bounds the cost."""
_MAX_SEPARATOR_CHARACTERS = 100
"""A separator is no longer than this many characters; a longer line is text."""
_MAX_LABEL_CHARACTERS = 30
"""A header label is no longer than this many characters in any language; a longer beginning of a line is text."""
_MAX_LABELLED_LINE_CHARACTERS = 300
"""Of a header line this many characters are read; it bounds the cost."""
_MAX_VALUE_CHARACTERS = 200
"""Of a header value this many characters are searched for an address and a date."""
_MAX_SUBJECT_CHARACTERS = 300
"""Of a subject this many characters are read; it bounds the cost."""
_MAX_PREFIX_CHARACTERS = 200
"""The prefix of a forward is looked for in this many characters of the subject, after the tags of gateways."""
_COMPARED_SUBJECT_CHARACTERS = 30
"""Two subjects are the same if they agree in this many characters: programs wrap long ones, and cut them off."""
_MIN_LABELS = 4
"""A header block without a full date has at least this many different labels, the subject among them."""
_MIN_LABELS_WITH_DATE = 3
"""A header block with a full date, and an address or a subject, has at least this many different labels."""
_MIN_LABELS_BELOW_RULE = 3
"""A header block below a rule or a separator has at least this many different labels. So has one whose labels are in
bold type: people hardly ever type those."""
_MIN_LABELS_BELOW_RULE_WITH_ADDRESS = 2
"""A header block below a rule, with an address or a full date, has at least this many different labels."""
_CODE_INDENTS = ("    ", "\t")
"""A header block that is indented like code is shown by the writer, not put there by a program."""
_ADDRESS = re.compile(rf"{LOCAL_PART}@[\w-]{{1,63}}")
_YEAR = re.compile(r"(?:19|20|25)\d{2}|\d{1,2}[./-]\d{1,2}[./-]\d{2}|[١٢]\d{3}")
_TIME = re.compile(r"\d{1,2} ?[:：.h時时시] ?\d{2}")
_SUBJECT_TAGS = re.compile(r"^(?:\s*\[[^\[\]]*\])+")
_SUBJECT_PREFIXES = re.compile(r"^(?:\[[^\[\]]{0,40}\] ?|[^\s:：]{1,14} ?[:：] ?)+")
_TICKET_TAG = re.compile(r"\[[^\[\]]{0,20}\d[^\[\]]{0,20}\]")
_RULE = re.compile(r"[\s>]*(?:[-_=*—–─━‐]\s?){3,}$")
_SAMSUNG_HEADER = re.compile(r"-{4,80} ?([^-:]{3,60}?) ?-{4,80}([^-:]{1,20}?) ?:")
"""The header that Samsung's program writes into plain text, all on one line."""
_DASHED_WORDS = re.compile(r"[-_=*—–─‐]{2,}\s*(.{3,60}?)\s*[-_=*—–─‐]{2,}:?$")


class HeaderRole(Enum):
    """What the value behind a header label is."""

    FROM = "from"
    SENT = "sent"
    TO = "to"
    CC = "cc"
    SUBJECT = "subject"
    OTHER = "other"


def _labels_by_role(language: Language) -> dict[HeaderRole, Words]:
    return {
        HeaderRole.FROM: language.header_from,
        HeaderRole.SENT: language.header_sent,
        HeaderRole.TO: language.header_to,
        HeaderRole.CC: language.header_cc,
        HeaderRole.SUBJECT: language.header_subject,
        HeaderRole.OTHER: language.header_other,
    }


@cache
def _roles_by_label() -> dict[str, frozenset[HeaderRole]]:
    roles: dict[str, frozenset[HeaderRole]] = {}
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
def _original_messages() -> dict[str, tuple[str, ...]]:
    return languages_by_word(lambda language: language.original_message)


@cache
def _forwarded_messages() -> dict[str, tuple[str, ...]]:
    return languages_by_word(lambda language: language.forwarded_message)


@dataclass(slots=True)
class _HeaderLines:
    """Header lines that were collected so far."""

    depth: int = 0
    """The number of quote marks before the first line."""
    fields: list[tuple[str, str]] = field(default_factory=list)
    """The labels, each with the first line of its value."""
    labels: list[str] = field(default_factory=list)
    values: list[str] = field(default_factory=list)
    """All lines of all values."""
    bold_labels: int = 0
    """The number of labels in bold type, as Outlook has them."""
    stop: int = 0
    """The index of the line after the last one."""

    def roles(self) -> set[HeaderRole]:
        return {role for label in self.labels for role in _roles_by_label()[label]}

    def is_convincing(self, *, ruled: bool) -> bool:
        """Return whether a mail program wrote this: there are enough labels, and what only a mail has, which is a
        subject, an address or a full date. ``From: Berlin / To: Paris / Date: 5 May`` is a journey. Below a rule or a
        separator (``ruled``), less is needed."""
        roles = self.roles()
        if HeaderRole.FROM not in roles and not {HeaderRole.SENT, HeaderRole.TO, HeaderRole.SUBJECT} <= roles:
            return False
        joined = " ".join(self.values)
        address = _ADDRESS.search(joined) is not None
        dated = _YEAR.search(joined) is not None and _TIME.search(joined) is not None
        has_subject = HeaderRole.SUBJECT in roles
        count = len(set(self.labels))
        if ruled or self.bold_labels >= _MIN_LABELS_BELOW_RULE:
            enough = _MIN_LABELS_BELOW_RULE_WITH_ADDRESS if address or dated else _MIN_LABELS_BELOW_RULE
            return count >= enough
        if dated and (address or has_subject):
            return count >= _MIN_LABELS_WITH_DATE
        return count >= _MIN_LABELS and has_subject

    def subject(self) -> str:
        """Return the first line of the subject, or ``""``."""
        return next((value for label, value in self.fields if HeaderRole.SUBJECT in _roles_by_label()[label]), "")

    def languages(self) -> tuple[str, ...]:
        """Return the names of the languages that have all labels of this block."""
        return tuple(name for name, labels in _labels_by_language().items() if labels.issuperset(self.labels))


@dataclass(frozen=True, slots=True)
class QuotedHeader:
    """Header lines or a separator above a quoted or forwarded mail."""

    stop: int
    """The index of the line after its last one."""
    languages: tuple[str, ...]
    """The names of the languages that it may be in; empty if none of the table."""
    forwarded: bool
    """True if it says that the mail was passed on, and is no quote."""
    reason: Recognised
    subject: str = ""
    """The subject of a header block that no rule or separator is above; else ``""``."""


class HeaderFinder:
    """Finds the quoted headers of one body. Lines that were searched in vain are not searched again, so that the cost
    is linear in the number of lines."""

    def __init__(self, lines: Sequence[BodyLine]) -> None:
        self._lines = lines
        self._searched_until = 0

    def find(self, start: int) -> QuotedHeader | None:
        """Return the header block or separator that begins at line ``start``, or ``None``."""
        text = self._lines[start].plain
        if not text:
            return None
        return (
            _separator(self._lines, start, text)
            or _ruled_block(self._lines, start)
            or (self._block_at(start) if start >= self._searched_until else None)
        )

    def _block_at(self, start: int) -> QuotedHeader | None:
        block = _collect_header(self._lines, start)
        if block is None or self._lines[start].text.startswith(_CODE_INDENTS):
            return None
        if not block.is_convincing(ruled=False):
            self._searched_until = max(self._searched_until, block.stop)
            return None
        languages = block.languages()
        reason = in_languages(CutReason.HEADER_BLOCK, languages)
        return QuotedHeader(block.stop, languages, False, reason, block.subject())


def is_rule(text: str) -> bool:
    """Return whether a line is dashes, underscores or the like, and nothing else."""
    return len(text) <= _MAX_RULE_CHARACTERS and _RULE.match(text) is not None


def _separator(lines: Sequence[BodyLine], start: int, text: str) -> QuotedHeader | None:
    """Find a separator: ``-----Original Message-----``, ``---------- Forwarded message ---------`` or ``Begin forwarded
    message:``."""
    samsung = _samsung_header(start, text)
    if samsung is not None or not _may_be_separator(text):
        return samsung
    dashed = _DASHED_WORDS.match(text)
    words = (dashed.group(1) if dashed else text).strip(" -_=*—–─‐:：").lower()
    for table, forwarded in ((_forwarded_messages(), True), (_original_messages(), False)):
        if words in table and (dashed or _block_below(lines, start + 1)):
            reason = CutReason.FORWARDED_MESSAGE if forwarded else CutReason.ORIGINAL_MESSAGE
            return QuotedHeader(start + 1, table[words], forwarded, in_languages(reason, table[words]))
    if dashed and (_block_below(lines, start + 1) or _is_header_in_unlisted_language(lines, start + 1)):
        return QuotedHeader(start + 1, (), False, Recognised(CutReason.ORIGINAL_MESSAGE))
    return None


def _samsung_header(start: int, text: str) -> QuotedHeader | None:
    found = _SAMSUNG_HEADER.match(text)
    if found is None:
        return None
    languages = _original_messages().get(found.group(1).lower())
    if languages is None or HeaderRole.FROM not in _roles_by_label().get(found.group(2).lower(), ()):
        return None
    return QuotedHeader(start + 1, languages, False, Recognised(CutReason.ORIGINAL_MESSAGE))


def _may_be_separator(text: str) -> bool:
    """Return quickly whether a line may be a separator. Most lines need no further look."""
    if len(text) > _MAX_SEPARATOR_CHARACTERS:
        return False
    return text[:1] in "-_=*—–─‐" or text.endswith((":", "：")) or text.lower() in _original_messages()


def _ruled_block(lines: Sequence[BodyLine], start: int) -> QuotedHeader | None:
    """Find a line of underscores or dashes with a header block below it."""
    if not is_rule(lines[start].text):
        return None
    block = _block_below(lines, start + 1)
    if block is not None:
        languages = block.languages()
        return QuotedHeader(block.stop, languages, False, in_languages(CutReason.HEADER_BLOCK, languages))
    if _is_header_in_unlisted_language(lines, start + 1):
        return QuotedHeader(start + 1, (), False, Recognised(CutReason.HEADER_BLOCK))
    return None


def _block_below(lines: Sequence[BodyLine], start: int) -> _HeaderLines | None:
    for at in range(start, min(start + _BLOCK_SEARCH_LINES, len(lines))):
        if not lines[at].blank:
            block = _collect_header(lines, at)
            return block if block is not None and block.is_convincing(ruled=True) else None
    return None


def _is_header_in_unlisted_language(lines: Sequence[BodyLine], start: int) -> bool:
    """Return whether a header block in a language that the table lacks begins below a rule: labelled lines with an
    address and a full date."""
    labelled: list[str] = []
    for line in lines[start : start + _MAX_HEADER_LINES]:
        if line.blank and labelled:
            break
        if not line.blank:
            label, colon, value = line.plain[:_MAX_LABELLED_LINE_CHARACTERS].partition(":")
            if not colon or len(label) > _MAX_LABEL_CHARACTERS:
                break
            labelled.append(value)
    joined = " ".join(labelled)
    found = _ADDRESS.search(joined) and _YEAR.search(joined) and _TIME.search(joined)
    return len(labelled) >= _MIN_LABELS_BELOW_RULE and found is not None


def _collect_header(lines: Sequence[BodyLine], start: int) -> _HeaderLines | None:
    """Collect the header lines that begin at ``start``. A value may be wrapped, and a blank line may be between two of
    them. What follows the last of them is no part of the block."""
    if label_of(lines[start]) is None:
        return None
    block = _HeaderLines(lines[start].depth)
    unlabelled: list[str] = []
    for at in range(start, min(start + _MAX_HEADER_LINES, len(lines))):
        label = label_of(lines[at])
        if block.fields and _begins_another(block, lines, at, label):
            break
        if label is not None and _is_second_sender(block, label) and any(line.blank for line in lines[start:at]):
            return None  # the header begins further down, and labels of somebody's text stand above it
        if label is not None:
            block.fields.append(label)
            block.labels.append(label[0])
            block.values += [*unlabelled, label[1][:_MAX_VALUE_CHARACTERS]]
            block.bold_labels += lines[at].text.lstrip("> ").startswith("**")
            block.stop, unlabelled = at + 1, []
            continue
        unlabelled.append(lines[at].plain[:_MAX_VALUE_CHARACTERS])
        wrapped = _MAX_WRAPPED_LINES if _ADDRESS.search(unlabelled[-1]) else _MAX_WRAPPED_LINES_WITHOUT_ADDRESS
        if len(unlabelled) > wrapped:
            break
    return block


def _is_second_sender(block: _HeaderLines, label: tuple[str, str]) -> bool:
    return _roles_by_label()[label[0]] == {HeaderRole.FROM} and HeaderRole.FROM in block.roles()


def _begins_another(block: _HeaderLines, lines: Sequence[BodyLine], at: int, label: tuple[str, str] | None) -> bool:
    """Return whether another block begins here: below dashes, in a quote, or below a blank line with a second sender or
    date. Some programs put the date first, and a blank line below each field."""
    if label is None:
        return is_rule(lines[at].text) or _DASHED_WORDS.match(lines[at].plain[:_MAX_SEPARATOR_CHARACTERS]) is not None
    if not lines[at - 1].blank or lines[at].depth > block.depth:
        return lines[at].depth > block.depth
    roles = _roles_by_label()[label[0]]
    if HeaderRole.FROM in roles and HeaderRole.FROM not in block.roles():
        return not _is_dated(block) or _has_date_below(lines, at)
    heads = {HeaderRole.FROM} if HeaderRole.FROM in block.roles() else {HeaderRole.FROM, HeaderRole.SENT}
    return not roles.isdisjoint(heads)


def _is_dated(block: _HeaderLines) -> bool:
    """Return whether a date was found so far, with a value that is one: ``Date: tomorrow?`` is a question."""
    dates = (value for label, value in block.fields if HeaderRole.SENT in _roles_by_label()[label])
    return any(map(_YEAR.search, dates))


def _has_date_below(lines: Sequence[BodyLine], at: int) -> bool:
    """Return whether the header lines below have a date of their own, so that the one above is none of them."""
    labels = filter(None, map(label_of, lines[at + 1 : at + 1 + _OWN_DATE_LINES]))
    return any(HeaderRole.SENT in _roles_by_label()[label] for label, _ in labels)


def label_of(line: BodyLine) -> tuple[str, str] | None:
    """Return the label of a header line, in lower case, and its value; ``None`` if the line has no known label."""
    head = line.plain[:_MAX_LABELLED_LINE_CHARACTERS]
    at = min((found for found in (head.find(":"), head.find("：")) if found > 0), default=-1)
    if not 0 < at <= _MAX_LABEL_CHARACTERS:
        return None
    label = head[:at].strip(" _[]・").lower()
    return (label, head[at + 1 :].strip()) if label in _roles_by_label() else None


def is_other_mail(header: QuotedHeader, subject: str) -> bool:
    """Return whether a header block is that of another mail than the one that is answered: the sender pasted it to be
    looked at. Its subject differs. False if there is no subject to compare."""
    quoted, own = _bare_subject(header.subject), _bare_subject(subject)
    if not quoted or not own or quoted.startswith(own) or own.startswith(quoted):
        return False
    return _TICKET_TAG.search(header.subject) is None  # a help desk's mail, answered under a subject of their own


def _bare_subject(subject: str) -> str:
    """Return the beginning of a subject without what mail programs and gateways put before it, in one letter case. The
    end is left out, which they wrap or cut off."""
    words = _SUBJECT_PREFIXES.sub("", " ".join(subject[:_MAX_SUBJECT_CHARACTERS].split())).casefold()
    return words[:_COMPARED_SUBJECT_CHARACTERS]


def is_forward(subject: str, languages: Sequence[str]) -> bool:
    """Return whether a subject says that the mail was passed on. Its prefix is looked up in the languages of the header
    block below, because ``VS:`` is a forward in Danish and a reply in Finnish."""
    untagged = _SUBJECT_TAGS.sub("", subject[:_MAX_PREFIX_CHARACTERS])
    prefix = untagged.replace("：", ":").partition(":")[0].strip().lower()
    return any(prefix in language.forward_prefixes for language in all_languages() if _applies_to(language, languages))


def _applies_to(language: Language, languages: Sequence[str]) -> bool:
    return language.name == "English" or not languages or language.name in languages
