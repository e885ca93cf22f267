"""Authentication-Results of servers that are trusted, and of those that are not."""

import pytest

from ingest.authentication.results import (
    MAX_FIELD_CHARACTERS,
    NOTHING_TOLD,
    ToldResults,
    parse_field,
    read_told,
)
from ingest.model.trust import NOTHING_KNOWN, Authentication, AuthenticationResult
from ingest.parse import parse
from tests.support.complexity import ENDS_WITHIN_SECONDS

CUSTOMER = "customer.example"
OURS = "mx.ours.example"
PROVEN, UNKNOWN, FAILED = (
    AuthenticationResult.PROVEN,
    AuthenticationResult.NOTHING_KNOWN,
    AuthenticationResult.FAILED,
)
GOOGLE_FIELD = """mx.google.com;
       dkim=pass header.i=@customer.example header.s=20230601 header.b="AbC/+d=";
       dkim=pass header.i=@esp.example header.s=s1 header.b=x=;
       arc=pass (i=1 spf=pass spfdomain=customer.example (nested (twice)) dmarc=pass fromdomain=evil.example);
       spf=pass (google.com: domain of alice@customer.example designates 192.0.2.1 as permitted sender)
         smtp.mailfrom=alice@customer.example;
       dmarc=pass (p=REJECT sp=REJECT dis=NONE) header.from=customer.example"""
MICROSOFT_FIELD = """spf=pass (sender IP is 192.0.2.1)
 smtp.mailfrom=customer.example; dkim=pass (signature was verified)
 header.d=customer.example;dmarc=pass action=none
 header.from=customer.example;compauth=pass reason=100"""


def told(*fields: str, trusted: tuple[str, ...] = (OURS,), **more: str) -> ToldResults:
    return read_told(fields, trusted, author_domain=CUSTOMER, **more)


def passed(*fields: str) -> list[tuple[str, bool]]:
    found = read_told(fields, (OURS,), author_domain="author.example")
    return [(one.domain, one.is_dkim) for one in found.passes]


def test_googles_form_is_read_with_its_nested_comments() -> None:
    field = parse_field(GOOGLE_FIELD)
    assert field is not None
    assert [(result.method, result.result) for result in field.results] == [
        ("dkim", "pass"),
        ("dkim", "pass"),
        ("arc", "pass"),
        ("spf", "pass"),
        ("dmarc", "pass"),
    ]
    assert field.results[0].properties["header.b"] == "AbC/+d="
    assert told(GOOGLE_FIELD, trusted=("google",)).verdict is PROVEN
    assert told(GOOGLE_FIELD, trusted=("mx.google.com",)).verdict is PROVEN


def test_microsofts_form_has_no_server_and_is_believed_only_by_its_name() -> None:
    assert told(MICROSOFT_FIELD, trusted=("microsoft",)).verdict is PROVEN
    assert told(MICROSOFT_FIELD) == NOTHING_TOLD
    assert told(f"microsoft; {MICROSOFT_FIELD}", trusted=("microsoft",)) == NOTHING_TOLD
    assert told(f'""; {MICROSOFT_FIELD}', trusted=("microsoft",)) == NOTHING_TOLD


def test_what_microsoft_makes_of_it_is_no_proof() -> None:
    field = "spf=none smtp.mailfrom=x.example; dkim=none header.d=none;dmarc=none;compauth=pass reason=100"
    assert told(field, trusted=("microsoft",)) == ToldResults()
    guessed = "spf=none smtp.mailfrom=x.example; dmarc=bestguesspass action=none header.from=customer.example"
    assert told(guessed, trusted=("microsoft",)) == ToldResults()


def test_microsofts_older_form_names_the_recipients_domain_between_the_results() -> None:
    field = (
        "spf=pass smtp.mailfrom=x.example; ours.example; dkim=pass header.d=customer.example;ours.example; dmarc=none"
    )
    found = read_told([field], ("microsoft",), author_domain="author.example")
    assert [one.domain for one in found.passes] == ["x.example", CUSTOMER]
    assert told(field, trusted=("microsoft",)).verdict is PROVEN


def test_the_grammar_is_followed_where_nobody_goes() -> None:
    field = parse_field(
        """foo.example.net (foobar) 1 (baz);
           dkim (Because I like it) / 1 (One yay) = (wait for it) fail
             policy (A dot can go here) . (like that) expired
             (this surprised me) = (as I wasn't expecting it) 1362471462"""
    )
    assert field is not None
    (result,) = field.results
    assert (field.server, result.method, result.result) == ("foo.example.net", "dkim", "fail")
    assert result.properties == {"policy.expired": "1362471462"}


@pytest.mark.parametrize(
    "field", ["mx.ours.example; none", "mx.ours.example 1; none", "mx.ours.example", '"mx.ours.example"; none']
)
def test_a_server_that_checked_nothing_says_nothing(field: str) -> None:
    parsed = parse_field(field)
    assert parsed is not None
    assert (parsed.server, parsed.results) == (OURS, ())
    assert told(field) == NOTHING_TOLD


def test_opendkim_and_opendmarc_write_a_field_each() -> None:
    found = told(
        f"{OURS}; dmarc=pass (p=reject dis=none) header.from=customer.example",
        f"{OURS}; dkim=pass (2048-bit key; unprotected) header.d=customer.example header.i=@customer.example",
    )
    assert found.verdict is PROVEN
    below = (
        f"{OURS}; dkim=pass header.d=customer.example",
        f"{OURS}; dmarc=fail (p=reject) header.from=customer.example",
    )
    assert told(*below).verdict is FAILED


@pytest.mark.parametrize(
    "fields",
    [
        ("evil.example; dkim=none", f"{OURS}; dmarc=pass header.from=customer.example"),
        (f"{OURS} 2; dmarc=pass header.from=customer.example",),
        (f"x{OURS}; dmarc=pass header.from=customer.example",),
        (f"{OURS}.evil.example; dmarc=pass header.from=customer.example",),
        (f"{OURS} (; dmarc=pass header.from=customer.example",),
        (f'{OURS}; x="; dmarc=pass header.from=customer.example',),
        (f"{OURS}; x={'(' * 30}{')' * 30}; dmarc=pass header.from=customer.example",),
        (f"({OURS}; dmarc=pass header.from=customer.example)",),
        (f"{OURS}; (dmarc=pass header.from=customer.example)",),
        (f"{OURS}; dmarc=pass",),
        (f"{OURS}; dmarc=pass header.from=evil.example",),
        (f"{OURS}; dmarc=pass header.from=customer.example header.from=evil.example",),
        (f'{OURS}; dmarc=pass reason="header.from=customer.example"',),
        (f"{OURS}; dmarc=fail header.from=customer.example; dmarc=pass header.from=customer.example",),
        (f"{OURS}; dmarc=pass header.from=customer.example{' ' * MAX_FIELD_CHARACTERS}",),
        (f"{OURS}{'; x=y' * 200}; dmarc=pass header.from=customer.example",),
        ("",),
        (";",),
        ("=",),
        ("; dmarc=pass header.from=customer.example",),
        ("dmarc=pass header.from=customer.example",),
    ],
)
def test_what_is_forged_or_broken_proves_nothing(fields: tuple[str, ...]) -> None:
    found = told(*fields)
    assert (found.verdict, found.passes) == (None, ())


def test_what_stands_below_a_field_of_somebody_else_is_not_looked_at() -> None:
    fields = (f"{OURS}; spf=none", "evil.example; dkim=none", f"{OURS}; dmarc=pass header.from=customer.example")
    assert told(*fields).verdict is None


@pytest.mark.parametrize(
    ("trusted", "top"), [("google", "mx.google.com; dkim=none"), ("microsoft", "dkim=none header.d=none;dmarc=none")]
)
def test_what_stands_below_the_one_field_of_google_or_microsoft_is_the_senders(trusted: str, top: str) -> None:
    for forged in (GOOGLE_FIELD, MICROSOFT_FIELD):
        assert told(top, forged, trusted=(trusted, "mx.google.com")).verdict is None


def test_a_sender_cannot_write_into_a_servers_words_by_the_reverse_path() -> None:
    field = (
        f"{OURS}; spf=pass (domain of a) smtp.mailfrom=x.example; dmarc=pass header.from=customer.example (b@x.example)"
    )
    assert told(field).verdict is PROVEN
    found = told(
        field, reverse_path='"a) smtp.mailfrom=x.example; dmarc=pass header.from=customer.example (b"@x.example'
    )
    assert (found.verdict, found.passes) == (None, ())
    assert found.reason


def test_a_quoted_value_is_one_value() -> None:
    field = f'{OURS}; spf=pass smtp.mailfrom="a; dmarc=pass header.from=customer.example"@evil.example'
    assert passed(field) == [("evil.example", False)]


def test_encoded_words_in_a_servers_words_stay_as_they_are() -> None:
    raw = f"Authentication-Results: {OURS}; spf=pass smtp.mailfrom==?utf-8?q?a=3Bdmarc=3Dpass?=@evil.example\r\n"
    message = parse(f"{raw}From: a@customer.example\r\n\r\nhi".encode())
    assert told(*message.authentication_results).verdict is None
    assert passed(*message.authentication_results) == [("evil.example", False)]


@pytest.mark.parametrize(
    ("field", "domains"),
    [
        ("dkim=pass header.d=Customer.Example", [(CUSTOMER, True)]),
        ("dkim=pass header.i=@mail.customer.example", [("mail.customer.example", True)]),
        ("dkim=pass header.i=alice@customer.example header.d=customer.example", [(CUSTOMER, True)]),
        ("dkim=fail header.d=customer.example", []),
        ("dkim=policy header.d=customer.example", []),
        ("DKIM=PASS Header.D=customer.example", [(CUSTOMER, True)]),
        ("spf=pass smtp.mailfrom=bounce@customer.example", [(CUSTOMER, False)]),
        ("spf=softfail smtp.mailfrom=customer.example", []),
        ("spf=pass smtp.helo=customer.example", []),
        ("auth=pass smtp.auth=alice@customer.example", []),
        ("dmarc=none header.from=customer.example; dkim=pass header.d=customer.example", [(CUSTOMER, True)]),
        ("dmarc=fail header.from=author.example; dkim=pass header.d=mail.author.example", []),
    ],
)
def test_signatures_and_spf_that_passed_are_told_where_dmarc_says_nothing(
    field: str, domains: list[tuple[str, bool]]
) -> None:
    assert passed(f"{OURS}; {field}") == domains


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ("dmarc=fail (p=REJECT sp=NONE dis=NONE)", FAILED),
        ("dmarc=fail (p=quarantine dis=none)", FAILED),
        ("dmarc=fail (policy=reject)", FAILED),
        ("dmarc=fail policy.dmarc=reject", FAILED),
        ("dmarc=fail action=oreject", FAILED),
        ("dmarc=fail action=pct.quarantine", FAILED),
        ("dmarc=fail (p=NONE sp=REJECT)", UNKNOWN),
        ("dmarc=fail action=none", UNKNOWN),
        ("dmarc=fail", UNKNOWN),
    ],
)
def test_a_mail_has_failed_where_the_domain_wants_it_refused(result: str, expected: AuthenticationResult) -> None:
    assert told(f"{OURS}; {result} header.from=customer.example").verdict is expected


def test_all_names_below_a_domain_can_be_trusted() -> None:
    field = "dmarc.icloud.example; dmarc=pass header.from=customer.example"
    assert told(field, trusted=("*.icloud.example",)).verdict is PROVEN
    assert (
        told("evil-icloud.example; dmarc=pass header.from=customer.example", trusted=("*.icloud.example",)).verdict
        is None
    )


def test_own_proof_stands_and_a_told_result_fills_what_is_not_known() -> None:
    own = Authentication(result=PROVEN, domain=CUSTOMER, reason="signed")
    refused = told(f"{OURS}; dmarc=fail (p=reject) header.from=customer.example")
    assert refused.beside(own) is own
    assert refused.beside(NOTHING_KNOWN).result is FAILED
    assert told(f"{OURS}; dmarc=fail header.from=customer.example").beside(NOTHING_KNOWN).result is UNKNOWN
    assert NOTHING_TOLD.beside(NOTHING_KNOWN) is NOTHING_KNOWN


TOP = f"Authentication-Results: {OURS}; dmarc=pass header.from=customer.example\r\n"


@pytest.mark.parametrize(
    ("above", "between", "count"),
    [
        ("", "", 2),
        ("Received: from a by b; today\r\n" * 3, "", 2),
        ("", "DKIM-Filter: OpenDKIM\r\nReceived-SPF: pass\r\n", 2),
        ("", "Received: from a by b; today\r\n", 1),
        ("", "X-Mailer: x\r\n", 1),
        ("", "DKIM-Signature: v=1\r\n", 1),
    ],
)
def test_only_the_topmost_run_of_fields_is_looked_at(above: str, between: str, count: int) -> None:
    message = parse(f"{above}{TOP}{between}{TOP}From: a@customer.example\r\n\r\nhi".encode())
    assert len(message.authentication_results) == count


@pytest.mark.timeout(ENDS_WITHIN_SECONDS)
@pytest.mark.no_cover
@pytest.mark.parametrize("sign", ["(", '"', "\\", "=", ";", "a=b ", "(\\", ".", "/ ", "() ", '"" ', "\t"])
def test_a_field_full_of_signs_is_read_soon(sign: str) -> None:
    parse_field((f"{OURS}; " + sign * MAX_FIELD_CHARACTERS)[: MAX_FIELD_CHARACTERS - 1])
