"""The author of a mail: one address for the user look-up, for DMARC and for the counters."""

import pytest

from ingest.authentication.author import (
    about_author,
    author_address,
    fault_of_author,
    find_author,
    has_lookalike_letters,
    is_believed,
    shows_other_address,
)
from ingest.model.author import Author, AuthorFault, AuthorRemark
from ingest.model.message import ParsedMessage
from ingest.model.trust import Authentication, AuthenticationResult
from ingest.parse import parse
from tests.support.factories import address, parsed

GROUP = (
    "From: 'Alice Archer' via Help Desk <help@mail.ravenna.example>",
    "List-ID: <help.mail.ravenna.example>",
    "X-Original-From: Alice Archer <alice@customer.example>",
    "Reply-To: Alice Archer <alice@customer.example>",
)
OURS = ("mail.ravenna.example",)


def mail(*fields: str) -> ParsedMessage:
    return parse("\r\n".join([*fields, "Subject: hi", "", "text"]).encode())


def remarks(*fields: str) -> tuple[AuthorRemark, ...]:
    author = find_author(mail(*fields))
    assert isinstance(author, Author)
    return author.remarks


def proof(result: AuthenticationResult) -> Authentication:
    return Authentication(result=result, domain="mail.ravenna.example")


def test_the_address_in_from_is_looked_up_and_has_to_be_proven() -> None:
    author = find_author(mail("From: Alice <Alice@Bücher.example>"))
    assert isinstance(author, Author)
    assert (author.address, author.proving_domain) == ("Alice@xn--bcher-kva.example", "xn--bcher-kva.example")
    assert author.remarks == ()


def test_a_field_that_names_nobody_gives_no_address_to_look_up() -> None:
    assert author_address(mail("From: Undisclosed: alice@customer.example;")) == ""
    assert author_address(parsed(from_=(address("a@a.example"), address("b@b.example")))) == ""
    assert find_author(parsed(from_=())) is AuthorFault.NO_ADDRESS


def test_a_group_of_ours_names_the_author_whom_it_wrote_over() -> None:
    author = find_author(mail(*GROUP))
    assert isinstance(author, Author)
    assert (author.address, author.display_name) == ("alice@customer.example", "Alice Archer")
    assert author.proving_domain == "mail.ravenna.example"
    assert AuthorRemark.REWRITTEN_BY_LIST in author.remarks
    assert fault_of_author(mail(*GROUP), OURS) is None


def test_a_list_of_somebody_else_is_not_believed() -> None:
    assert fault_of_author(mail(*GROUP), ("elsewhere.example",)) is AuthorFault.FOREIGN_LIST


def test_a_list_that_says_via_names_the_author_in_reply_to() -> None:
    fields = ("From: Alice via Users <users@lists.example>", "List-Id: <users.lists.example>")
    answers = "Reply-To: users@lists.example, Alice <alice@customer.example>"
    assert author_address(mail(*fields, answers)) == "alice@customer.example"


def test_a_list_whose_fields_contradict_each_other_names_nobody() -> None:
    assert find_author(mail(*GROUP[:3], "Reply-To: mallory@evil.example")) is AuthorFault.LIST_CONTRADICTS


def test_two_original_authors_are_more_than_a_list_writes() -> None:
    twice = "X-Original-From: agent@support.example"
    assert find_author(mail(*GROUP[:3], twice)) is AuthorFault.LIST_CONTRADICTS


def test_the_original_author_counts_only_where_a_list_says_that_it_is_one() -> None:
    assert author_address(mail(GROUP[0], GROUP[2])) == "help@mail.ravenna.example"


def test_a_list_that_leaves_from_alone_changes_nothing() -> None:
    fields = (
        "From: Alice <alice@customer.example>",
        "List-Id: <x.lists.example>",
        "X-Original-From: alice@customer.example",
    )
    author = find_author(mail(*fields))
    assert isinstance(author, Author)
    assert author.list_domain == ""


def test_a_list_is_believed_only_where_its_domain_is_proven() -> None:
    author = find_author(mail(*GROUP))
    assert isinstance(author, Author)
    assert is_believed(author, proof(AuthenticationResult.PROVEN))
    assert not is_believed(author, proof(AuthenticationResult.NOTHING_KNOWN))
    assert not is_believed(author, proof(AuthenticationResult.FAILED))


def test_a_proven_list_proves_nothing_about_the_author_s_own_domain() -> None:
    author = find_author(mail(*GROUP))
    assert isinstance(author, Author)
    about = about_author(author, proof(AuthenticationResult.PROVEN))
    assert about.result is AuthenticationResult.NOTHING_KNOWN
    assert about.domain == "customer.example"


def test_what_is_known_of_an_author_without_a_list_stays() -> None:
    author = find_author(parsed())
    assert isinstance(author, Author)
    proven = proof(AuthenticationResult.PROVEN)
    assert about_author(author, proven) is proven
    assert is_believed(author, proof(AuthenticationResult.NOTHING_KNOWN))


def test_sender_and_reply_to_of_another_domain_are_remarked() -> None:
    fields = ("From: alice@customer.example", "Sender: bulk@sender.example", "Reply-To: x@elsewhere.example")
    assert remarks(*fields) == (AuthorRemark.SENDER_DIFFERS, AuthorRemark.REPLY_TO_DIFFERS)
    same = ("From: alice@customer.example", "Sender: desk@Customer.example", "Reply-To: all@customer.example")
    assert remarks(*same) == ()


@pytest.mark.parametrize(
    "name",
    [
        "agent@support.example",
        "Agent <agent@support.example>",
        "agent\uff20support.example",
        "agent\u200b@support.example",
        "Agent (agent@support.example)",
    ],
)
def test_a_name_that_shows_another_address_is_remarked(name: str) -> None:
    assert shows_other_address(address("x@evil.example", name))


@pytest.mark.parametrize("name", ["Alice", "alice@customer.example", "ALICE@CUSTOMER.EXAMPLE", "Alice @ Work", ""])
def test_a_name_that_shows_the_author_s_own_address_or_none_is_not_remarked(name: str) -> None:
    assert not shows_other_address(address("alice@customer.example", name))


@pytest.mark.parametrize(
    ("domain", "looks_alike"),
    [
        ("xn--pple-43d.example", True),  # Cyrillic a
        ("customer.example", False),
        ("xn--bcher-kva.example", False),
        ("xn--e1afmkfd.example", False),  # a Russian word with letters like no Latin ones
        ("xn--80ak6aa92e.example", True),  # five Cyrillic letters that read as a company's name
    ],
)
def test_a_domain_of_letters_that_look_latin_is_remarked(domain: str, looks_alike: bool) -> None:
    assert has_lookalike_letters(domain) is looks_alike
