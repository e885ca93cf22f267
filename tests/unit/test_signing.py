"""Signed addresses, Message-IDs and marks of outbound mail."""

import hmac

import pytest

from ingest import signing
from ingest.signing import CheckedSignature, Proof
from ingest.signing_keys import SigningKeys

KEY = b"0123456789abcdef0123456789abcdef"
NEW_KEY = b"fedcba9876543210fedcba9876543210"
KEYS = SigningKeys(keys=(KEY,))
TICKET = "cm7y0q4kt000q5gneqf0tbspg"
UUID = "123e4567-e89b-12d3-a456-426614174000"
DOMAIN = "mail.example.com"
NOW = 1_790_000_000.0
DAY = 86_400.0


def local_part(address: str) -> str:
    return address.rpartition("@")[0]


def checked(
    address: str, keys: SigningKeys = KEYS, *, sender: str = "alice@customer.example", now: float = NOW
) -> CheckedSignature:
    found = signing.check_address(local_part(address), keys, sender=sender, now=now)
    assert found is not None
    return found


# Addresses


def test_a_signed_address_proves_its_ticket() -> None:
    assert checked(signing.sign_address(TICKET, DOMAIN, KEY)) == CheckedSignature(ticket_id=TICKET, proof=Proof.VALID)


@pytest.mark.parametrize("ticket_id", [TICKET, UUID])
def test_with_everything_in_it_an_address_fits_into_a_local_part(ticket_id: str) -> None:
    made = signing.sign_address(ticket_id, DOMAIN, KEY, person="alice@customer.example", signed_at=NOW)
    assert len(local_part(made)) <= 64
    assert checked(made).proof is Proof.FOR_SENDER


def test_an_id_that_is_too_long_for_an_address_is_refused() -> None:
    with pytest.raises(ValueError, match="too long for an address"):
        signing.sign_address("t" * 60, DOMAIN, KEY)


@pytest.mark.parametrize("options", [{}, {"person": "alice@customer.example"}, {"signed_at": NOW}])
@pytest.mark.parametrize("change", [str.upper, str.lower])
def test_letter_case_does_not_matter(options: dict[str, object], change: object) -> None:
    made = signing.sign_address(TICKET, DOMAIN, KEY, **options)  # type: ignore[arg-type]
    found = checked(change(made))  # type: ignore[operator]
    assert (found.ticket_id, found.proof is Proof.FORGED) == (TICKET, False)


def test_each_changed_character_of_a_code_is_noticed() -> None:
    made = signing.sign_address(TICKET, DOMAIN, KEY, signed_at=NOW)
    start, end = made.rindex(".", 0, made.index("@")) + 1, made.index("@")
    for place in range(start, end):
        changed = made[:place] + ("a" if made[place] != "a" else "b") + made[place + 1 :]
        assert checked(changed).proof is Proof.FORGED


def test_the_code_of_one_purpose_is_none_for_another() -> None:
    made = [
        local_part(signing.sign_address(TICKET, DOMAIN, KEY)).rpartition(".")[2],
        local_part(signing.sign_sent_address(TICKET, DOMAIN, KEY)).rpartition(".")[2],
        local_part(signing.sign_message_id(TICKET, "7", DOMAIN, KEY)).rpartition(".")[2],
        signing.sign_sent(TICKET, "a@b", KEY).rpartition(".")[2],
    ]
    assert len(set(made)) == len(made)


@pytest.mark.parametrize(
    "local", ["help", "reply+x", f"reply+{TICKET}.abc", f"help+{TICKET}.{'a' * 13}", "reply+.a", ""]
)
def test_what_has_not_the_form_is_no_signature(local: str) -> None:
    assert signing.check_address(local, KEYS, sender="", now=NOW) is None


def test_letters_that_only_look_like_base32_are_no_signature() -> None:
    made = local_part(signing.sign_address(TICKET, DOMAIN, KEY))
    assert signing.check_address(made[:-1] + "\u017f", KEYS, sender="", now=NOW) is None
    assert signing.check_address(made[:-1] + "\u212a", KEYS, sender="", now=NOW) is None


# The person


@pytest.mark.parametrize(
    ("person", "sender"),
    [
        ("alice@customer.example", "Alice@Customer.EXAMPLE"),
        ("alice@b\u00fccher.example", "alice@xn--bcher-kva.example"),
    ],
)
def test_two_spellings_of_an_address_are_one_person(person: str, sender: str) -> None:
    made = signing.sign_address(TICKET, DOMAIN, KEY, person=person)
    assert checked(made, sender=sender).proof is Proof.FOR_SENDER


@pytest.mark.parametrize("sender", ["mallory@x.example", "", "alice@customer.example.x", "a b@c>", "\ud800@x.example"])
def test_a_leaked_address_is_only_proof_of_the_ticket(sender: str) -> None:
    made = signing.sign_address(TICKET, DOMAIN, KEY, person="alice@customer.example")
    assert checked(made, sender=sender).proof is Proof.FOR_ANOTHER


@pytest.mark.parametrize("person", ["a b@c>", "alice", "@x", "a@b@c", "<a@b>", "a@b, c@d", "a@b\n", "a@b\0", " a@b"])
def test_what_is_no_address_cannot_be_signed_for(person: str) -> None:
    with pytest.raises(ValueError, match="is no single mail address"):
        signing.sign_address(TICKET, DOMAIN, KEY, person=person)


def test_letters_that_only_look_alike_are_another_person() -> None:
    made = signing.sign_address(TICKET, DOMAIN, KEY, person="mark@x.example")
    assert checked(made, sender="mar\u212a@x.example").proof is Proof.FOR_ANOTHER


# Age


def test_a_signature_with_a_date_grows_too_old() -> None:
    keys = SigningKeys(keys=(KEY,), max_age_days=30)
    made = signing.sign_address(TICKET, DOMAIN, KEY, signed_at=NOW)
    assert checked(made, keys, now=NOW + 30 * DAY).proof is Proof.VALID
    assert checked(made, keys, now=NOW + 32 * DAY).proof is Proof.EXPIRED
    assert checked(made, KEYS, now=NOW + 3200 * DAY).proof is Proof.VALID


def test_a_signature_without_a_date_does_not_grow_old() -> None:
    keys = SigningKeys(keys=(KEY,), max_age_days=1)
    assert checked(signing.sign_address(TICKET, DOMAIN, KEY), keys, now=NOW + 3650 * DAY).proof is Proof.VALID


def test_the_date_of_a_signature_cannot_be_taken_off() -> None:
    made = signing.sign_address(TICKET, DOMAIN, KEY, signed_at=NOW)
    head, _dot, code = local_part(made).rpartition(".")
    assert checked(f"{head}.{code[3:]}@{DOMAIN}").proof is Proof.FORGED


@pytest.mark.parametrize("signed_at", [0.0, 5e9])
def test_a_time_that_cannot_be_written_is_refused(signed_at: float) -> None:
    with pytest.raises(ValueError, match="between 2020 and 2109"):
        signing.sign_address(TICKET, DOMAIN, KEY, signed_at=signed_at)


# Keys


def test_after_a_change_of_the_key_old_addresses_stay_valid() -> None:
    made = signing.sign_address(TICKET, DOMAIN, KEY, person="alice@customer.example")
    assert checked(made, SigningKeys(keys=(NEW_KEY, KEY))).proof is Proof.FOR_SENDER
    assert checked(made, SigningKeys(keys=(NEW_KEY,))).proof is Proof.FORGED


@pytest.mark.parametrize("key", [b"", b"secret", b"k" * 31, b"a" * 64, b"abcdefg" * 9])
def test_a_weak_key_signs_nothing(key: bytes) -> None:
    with pytest.raises(ValueError, match="openssl rand -hex 32"):
        signing.sign_address(TICKET, DOMAIN, key)


def old_mac(key: bytes, purpose: str, text: str) -> str:
    return hmac.new(key, f"{purpose}\0{text}".encode(), "sha256").hexdigest()[:20]


def test_addresses_and_message_ids_of_earlier_versions_stay_valid() -> None:
    old = f"reply+{TICKET}.{old_mac(KEY, 'address', TICKET)}@{DOMAIN}"
    assert checked(old).proof is Proof.VALID
    assert checked(old.upper()).ticket_id == TICKET
    for unique in ("n7", ""):
        named = ".".join(filter(None, (TICKET, unique)))
        message_id = f"ticket.{named}.{old_mac(KEY, 'message-id', named)}@{DOMAIN}"
        found = signing.check_message_id(message_id, KEYS, sender="", now=NOW)
        assert found == CheckedSignature(ticket_id=TICKET, proof=Proof.VALID)


def test_what_an_old_weak_key_signed_is_no_proof() -> None:
    old = f"reply+{TICKET}.{old_mac(b'weak', 'address', TICKET)}@{DOMAIN}"
    assert checked(old, SigningKeys(keys=(KEY, b"weak"))).proof is Proof.WEAK_KEY


def test_an_old_mac_is_none_for_a_copy_of_outbound_mail() -> None:
    local = f"sent+{TICKET}.{old_mac(KEY, 'address', TICKET)}"
    found = signing.check_sent_address(local, KEYS, now=NOW)
    assert found is not None
    assert found.proof is Proof.FORGED


# Message-IDs and outbound mail


def test_a_signed_message_id_proves_its_ticket() -> None:
    made = signing.sign_message_id(TICKET, "n-7", DOMAIN, KEY, person="alice@customer.example", signed_at=NOW)
    found = signing.check_message_id(made, KEYS, sender="alice@customer.example", now=NOW)
    assert found == CheckedSignature(ticket_id=TICKET, proof=Proof.FOR_SENDER)
    other = made.replace("n-7", "n-8")
    assert signing.check_message_id(other, KEYS, sender="", now=NOW) == CheckedSignature(
        ticket_id=TICKET, proof=Proof.FORGED
    )


@pytest.mark.parametrize("unique", ["", "a b", "a@b", "a.b", "x" * 65])
def test_what_cannot_stand_in_a_message_id_is_refused(unique: str) -> None:
    with pytest.raises(ValueError, match="cannot stand in a Message-ID"):
        signing.sign_message_id(TICKET, unique, DOMAIN, KEY)


@pytest.mark.parametrize("domain", ["", "a b", "a@b", "b>", "x\n"])
def test_what_is_no_domain_is_refused(domain: str) -> None:
    with pytest.raises(ValueError, match="is no mail domain"):
        signing.sign_address(TICKET, domain, KEY)


def test_a_mark_of_outbound_mail_is_bound_to_its_message_id() -> None:
    value = signing.sign_sent(TICKET, "<Out.1@Mail.Example.com>", KEY)
    found = signing.check_sent(f" {value} ", "Out.1@mail.example.com", KEYS)
    assert found == CheckedSignature(ticket_id=TICKET, proof=Proof.VALID)
    replayed = signing.check_sent(value, "out.2@mail.example.com", KEYS)
    assert replayed == CheckedSignature(ticket_id=TICKET, proof=Proof.FORGED)
    assert signing.check_sent(value, None, KEYS) is None
    assert signing.check_sent("x" * 10_000, "a@b", KEYS) is None


def test_a_signed_recipient_of_copies_is_no_reply_address() -> None:
    local = local_part(signing.sign_sent_address(TICKET, DOMAIN, KEY))
    assert signing.check_address(local, KEYS, sender="", now=NOW) is None
    found = signing.check_sent_address(local, KEYS, now=NOW)
    assert found == CheckedSignature(ticket_id=TICKET, proof=Proof.VALID)
    reply = local_part(signing.sign_address(TICKET, DOMAIN, KEY))
    assert signing.check_sent_address(reply, KEYS, now=NOW) is None


def test_a_very_long_message_id_is_checked_at_once() -> None:
    assert signing.check_message_id("ticket." + "a" * 10_000 + "@x", KEYS, sender="", now=NOW) is None
    assert signing.check_message_id(f"ticket.{TICKET}." * 500, KEYS, sender="", now=NOW) is None
