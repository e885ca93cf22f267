"""Who told which ticket a Message-ID belongs to, and whom of them the store believes more."""

from ingest.model.described import DescribedStrEnum


class Teacher(DescribedStrEnum):
    """Where the ticket of a Message-ID is known from. The value stands in the database and in ``threads list``."""

    SIGNED = "signed", "A copy of outbound mail, with a signature of ours that names ticket and Message-ID."
    SENT = "sent", "A copy of outbound mail that came to the secret address for copies."
    API = "api", "The API's response to a message that was posted."
    SYNC = "sync", "The API's list of messages of a ticket that changed."
    WEBHOOK = "webhook", "The API's answer about a message that its webhook told of."
    VERIFIED = "verified", "The API's list of messages of a ticket that an address or a subject named."
    OPERATOR = "operator", "`ingest threads add` or `import`."
    MAIL = "mail", "Mail that came in and was delivered to the ticket."
    STUB = "stub", "Nobody: mail refers to the Message-ID, and its own mail was never seen."

    @property
    def rank(self) -> int:
        """How far the teacher is believed: a higher rank corrects a lower one, an equal one changes nothing."""
        return _RANKS.get(self, 2)


_RANKS = {Teacher.SIGNED: 3, Teacher.MAIL: 1, Teacher.STUB: 0}
"""The rank of those that are not the API or somebody who is believed like it. Whoever can write a mail can choose the
Message-ID in it, so what mail that came in says is believed least."""
