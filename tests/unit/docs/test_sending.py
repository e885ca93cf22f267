"""The test vectors of docs/sending.md are what the code makes."""

from ingest import signing
from tests.support.commands import ROOT

KEY = b"0123456789abcdef0123456789abcdef"
TICKET = "cm7y0q4kt000q5gneqf0tbspg"
DOMAIN = "mail.example.com"
PERSON = "Alice@Bücher.example"
SIGNED_AT = 1_790_000_000.0


def test_the_page_for_the_system_that_sends_has_the_test_vectors_of_the_code() -> None:
    page = (ROOT / "docs" / "sending.md").read_text("utf-8")
    message_id = signing.sign_message_id(TICKET, "7f3a", DOMAIN, KEY)
    made = [
        signing.sign_address(TICKET, DOMAIN, KEY),
        signing.sign_address(TICKET, DOMAIN, KEY, person=PERSON),
        signing.sign_address(TICKET, DOMAIN, KEY, signed_at=SIGNED_AT),
        signing.sign_address(TICKET, DOMAIN, KEY, person=PERSON, signed_at=SIGNED_AT),
        message_id,
        signing.sign_sent(TICKET, message_id, KEY),
        signing.sign_sent_address(TICKET, DOMAIN, KEY),
    ]
    assert [f"`{text}` |" for text in made if f"`{text}` |" not in page] == []
