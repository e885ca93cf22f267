"""The names by which messages of one thread are kept in order before anybody is asked."""

from ingest.model.envelope import Envelope, ReceivedMessage, SourceRef
from ingest.order_hints import MAX_NEAREST_IDS, MAX_OLDEST_IDS, order_hints
from ingest.tickets import sign_address

KEY = b"k" * 32
DOMAINS = frozenset({"desk.example"})


def hints(*fields: str, to: str = "help@desk.example", trace: bytes = b"") -> tuple[str, ...]:
    content = trace + "\r\n".join((*fields, "", "text")).encode()
    message = ReceivedMessage(
        envelope=Envelope(mail_from="alice@customer.example", rcpt_tos=(to,)),
        content=content,
        trace_length=len(trace),
        source_ref=SourceRef(source="smtp:25"),
        received_at=0.0,
    )
    return order_hints(message, domains=DOMAINS, signing_key=KEY)


def test_a_signed_address_names_its_ticket() -> None:
    assert "ticket:t1" in hints(to=sign_address("T1", "desk.example", KEY))


def test_a_code_in_the_address_or_the_subject_names_its_ticket() -> None:
    assert "ticket:tai-42" in hints(to="help+TAI-42@desk.example")
    assert "ticket:tai-42" in hints("Subject: Re: [TAI-42] Printer")


def test_the_parent_the_root_and_the_message_itself_are_named() -> None:
    found = hints("Message-ID: <own@x>", "In-Reply-To: <parent@x>", "References: <root@x> <parent@x>")
    assert found == ("id:own@x", "id:parent@x", "id:root@x")


def test_a_long_chain_is_named_by_its_ends() -> None:
    chain = " ".join(f"<{number}@x>" for number in range(90))
    found = hints(f"References: {chain}")
    assert len(found) == MAX_NEAREST_IDS + MAX_OLDEST_IDS
    assert {"id:0@x", "id:89@x"} <= set(found)


def test_our_own_trace_field_is_not_looked_at() -> None:
    assert hints("Message-ID: <own@x>", trace=b"Received: from x; <trace@x>\r\n") == ("id:own@x",)


def test_a_mail_that_names_nothing_has_no_hints() -> None:
    assert hints("Subject: Hello") == ()
