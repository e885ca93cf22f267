"""The names by which messages of one thread are kept in order before anybody is asked."""

from ingest.model.envelope import Envelope, ReceivedMessage, SourceRef
from ingest.order_hints import MAX_BODY_BYTES, MAX_NEAREST_IDS, MAX_OLDEST_IDS, ArrivalFacts, order_hints
from ingest.parse.thread_header import MAX_HEAD_BYTES
from ingest.signing import sign_address
from ingest.signing_keys import SigningKeys
from ingest.tickets import SignalSettings

KEY = b"0123456789abcdef" * 2
SIGNALS = SignalSettings(domains=frozenset({"desk.example"}), keys=SigningKeys(keys=(KEY,)))


def facts_of(
    *fields: str, to: str = "help@desk.example", trace: bytes = b"", body: str = "", line_end: str = "\r\n"
) -> ArrivalFacts:
    content = trace + line_end.join((*fields, "", body)).encode()
    message = ReceivedMessage(
        envelope=Envelope(mail_from="alice@customer.example", rcpt_tos=(to,)),
        content=content,
        trace_length=len(trace),
        source_ref=SourceRef(source="smtp:25"),
        received_at=0.0,
    )
    return order_hints(message, SIGNALS)


def hints(*fields: str, to: str = "help@desk.example", trace: bytes = b"") -> tuple[str, ...]:
    return facts_of(*fields, to=to, trace=trace).order_names


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


def test_two_copies_without_a_message_id_have_a_name_in_common() -> None:
    first = facts_of("Received: by a", "Subject: Hello", body="It is broken.").order_names
    second = facts_of("Received: by another one", "Subject: Hello", body="It is broken.").order_names
    other = facts_of("Subject: Hello", body="It works.").order_names
    assert first == second
    assert len(first) == 1
    assert first[0].startswith("body:")
    assert not set(first) & set(other)


def test_large_bodies_are_told_apart_by_their_beginning_and_their_length() -> None:
    large = "x" * MAX_BODY_BYTES
    assert facts_of(body=large + "1").order_names == facts_of(body=large + "2").order_names
    assert facts_of(body=large + "1").order_names != facts_of(body=large + "12").order_names


def test_a_mail_with_neither_message_id_nor_date_is_told_from_one_with_either() -> None:
    assert facts_of("Subject: Hello", body="text").is_unnamed
    assert not facts_of("Subject: Hello", "Message-ID: <m@x>", body="text").is_unnamed
    assert not facts_of("Date: Mon, 05 Oct 2026 11:00:00 +0200", body="text").is_unnamed


def test_a_header_that_was_not_read_to_its_end_is_not_taken_for_one_without_a_date() -> None:
    assert not facts_of("X-Filler: " + "x" * MAX_HEAD_BYTES, "Date: Mon, 05 Oct 2026 11:00:00 +0200").is_unnamed
