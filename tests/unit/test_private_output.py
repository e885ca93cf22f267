"""The check that reads all output of the test run (``tests/conftest.py``)."""

import pytest

from ingest import signing
from ingest.config.settings import SANDBOX_TOKEN
from tests.support.factories import ALICE, DOMAIN
from tests.support.fixture_mails import SIGNING_KEY
from tests.support.private_output import private_in


@pytest.mark.parametrize(
    "text",
    [
        f"refused mail from={ALICE}",
        f"sender=<{ALICE.upper()}>",
        f"key {SIGNING_KEY}",
        f'{{"token": "{SANDBOX_TOKEN}"}}',
        f"to {signing.sign_address('cm7y0q4kt', DOMAIN, SIGNING_KEY.encode())}",
    ],
)
def test_addresses_and_secrets_are_found_in_an_output(text: str) -> None:
    assert private_in(text)


@pytest.mark.parametrize("text", ["from=a…@customer.example", f"message_id=1.{ALICE}", f"help@{DOMAIN}", ""])
def test_what_an_operator_needs_may_stand_in_an_output(text: str) -> None:
    assert private_in(text) == []
