"""What a rule of the screening is, and what it looks at."""

from collections.abc import Callable
from dataclasses import dataclass

from ingest.authentication.author import author_address
from ingest.model.envelope import Envelope
from ingest.model.local_addresses import LocalAddresses
from ingest.model.message import ParsedMessage
from ingest.model.outcome import RuleName
from ingest.model.verdict import Action, Verdict
from ingest.signing_keys import SigningKeys


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenedMail:
    """What the rules look at."""

    message: ParsedMessage
    envelope: Envelope
    local: LocalAddresses
    keys: SigningKeys | None
    """The keys by which a Message-ID of ours is known again; ``None``: there are none."""
    new_words: str
    """What the sender newly wrote, without quotes: words in a quote are not the sender's."""

    @property
    def has_null_path(self) -> bool:
        """The reverse-path is null (RFC 5321 section 4.5.5). A mailbox that is read over IMAP has no envelope: there
        what its delivery wrote into Return-Path counts."""
        return self.envelope.mail_from == "" and self.message.return_path in ("", None)

    @property
    def is_wanted_machine(self) -> bool:
        """The operator wants the mail of this sender, although a machine writes it."""
        return self.local.is_wanted_machine(author_address(self.message))


RuleTest = Callable[[ScreenedMail], str | None]
"""Returns the reason for which a rule applies to a mail; ``None`` where it does not apply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreeningRule:
    """One row of the table of rules."""

    name: RuleName
    action: Action
    test: RuleTest
    sign: str
    """What the rule recognises a mail by, in a few words for the documentation."""
    setting: str = ""
    """The settings that change what the rule does; empty: none."""
    is_machine: bool = True
    is_report: bool = False
    is_proven: bool = False
    is_person_if_known: bool = False
    spares_wanted: bool = False
    """The rule does not apply to machines whose mail is wanted."""

    def applies(self, mail: ScreenedMail) -> Verdict | None:
        """Return the verdict about a mail; ``None`` where the rule does not apply to it."""
        if self.spares_wanted and mail.is_wanted_machine:
            return None
        reason = self.test(mail)
        return None if reason is None else self._verdict(reason)

    def _verdict(self, reason: str) -> Verdict:
        return Verdict(
            rule=self.name,
            action=self.action,
            reason=reason,
            is_machine=self.is_machine,
            is_report=self.is_report,
            is_proven=self.is_proven,
            is_person_if_known=self.is_person_if_known,
        )
