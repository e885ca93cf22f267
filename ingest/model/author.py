"""Who a mail says its author is: the one address that decides the user look-up, DMARC and the counters alike."""

from dataclasses import dataclass

from ingest.model.described import DescribedStrEnum
from ingest.model.mail_address import comparable_domain


class AuthorFault(DescribedStrEnum):
    """Why a mail names nobody who could be its author. The meaning is the sentence that an operator reads."""

    NO_ADDRESS = "no-address", "It has no From field with an address."
    SEVERAL_AUTHORS = "several-authors", "It claims several authors in From."
    GROUP = "group", "Its From field is a group of addresses (RFC 6854), and a group is no author."
    BROKEN_ADDRESS = "broken-address", "The address in From is broken: programs would read it differently."
    COMMENT_IN_ADDRESS = (
        "comment-in-address",
        "A comment stands inside the address in From: programs would read it differently.",
    )
    ENCODED_ADDRESS = "encoded-address", "The address in From is an encoded word: programs would read it differently."
    HIDDEN_CHARACTER = "hidden-character", "The address in From has a control character, or one that is not shown."
    NO_DOMAIN = "no-domain", "What follows the @ of the address in From is no domain name."
    FOREIGN_LIST = (
        "foreign-list",
        "A list that is not in INGEST_LIST_DOMAINS put its own address into From; nobody knows who the author is.",
    )
    LIST_CONTRADICTS = (
        "list-contradicts",
        "A list put its own address into From, and X-Original-From and Reply-To name different authors.",
    )


class AuthorRemark(DescribedStrEnum):
    """Something about the author that a reader should know, and that stops nothing by itself."""

    NAME_SHOWS_ADDRESS = "name-shows-address", "The name in From shows an address that is not the author's."
    LOOKALIKE_DOMAIN = (
        "lookalike-domain",
        "The author's domain has letters of another script that look like Latin ones.",
    )
    SENDER_DIFFERS = "sender-differs", "The Sender field names another domain than From."
    REPLY_TO_DIFFERS = "reply-to-differs", "Reply-To names another domain than From: an answer would go there."
    REWRITTEN_BY_LIST = (
        "rewritten-by-list",
        "A list put its own address into From; the author is the one whom it names in X-Original-From or Reply-To.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """The author of a mail, as the mail says."""

    address: str
    """``local-part@domain``, the domain as A-labels in lower case, the local part as written."""
    display_name: str = ""
    list_domain: str = ""
    """The domain in From, where a list of ours rewrote From: it is the domain that has to be proven, and proves nothing
    about the author's own domain. Empty: From has the author's address."""
    remarks: tuple[AuthorRemark, ...] = ()

    @property
    def proving_domain(self) -> str:
        """The domain in From, which authentication is about."""
        return self.list_domain or comparable_domain(self.address)
