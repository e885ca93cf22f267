"""What the errors of token endpoints mean."""

import json

import httpx
import pytest

from ingest.config.imap_accounts import OAuthClient
from ingest.sources.imap.auth.oauth import parse_grant
from ingest.sources.imap.auth.token_errors import TokenRefused, TokenThrottled, TokenUnavailable, token_error


def answered(error: object, description: str = "", status: int = 400) -> Exception:
    """Return what we make of an error response."""
    facts = {"provider": "other", "client_id": "c", "scope": "mail", "token_url": "https://token.example/"}
    client = OAuthClient.model_validate(facts)
    try:
        parse_grant(client, json.dumps({"error": error, "error_description": description}))
    except Exception as raised:
        return token_error(status, httpx.Headers({"Retry-After": "7"}), raised)
    raise AssertionError("no error")


@pytest.mark.parametrize(
    ("error", "description", "advice"),
    [
        ("admin_policy_enforced", "", "administrator"),
        ("org_internal", "", "administrator"),
        ("deleted_client", "The OAuth client was deleted.", "client_id"),
        ("disabled_client", "The OAuth client was disabled.", "client_id"),
        ("unauthorized_client", "AADSTS700016: Application was not found in the directory", "client_id"),
        ("invalid_request", "AADSTS90002: Tenant 'x' not found.", "tenant"),
        ("invalid_request", "AADSTS900023: Specified tenant identifier is neither a valid DNS name", "tenant"),
        ("invalid_client", "AADSTS7000222: The provided client secret keys are expired.", "secret has ended"),
        ("invalid_client", "AADSTS7000215: Invalid client secret provided.", "not its id"),
        ("invalid_grant", "AADSTS53003: Access has been blocked by Conditional Access policies.", "Conditional Access"),
        ("interaction_required", "AADSTS50076: you must use multi-factor authentication", "Conditional Access"),
        ("invalid_grant", "Token has been expired or revoked.", ""),
    ],
)
def test_what_only_a_person_can_mend_is_refused_with_its_own_advice(error: str, description: str, advice: str) -> None:
    found = answered(error, description)
    assert isinstance(found, TokenRefused)
    assert advice in found.advice
    assert bool(found.advice) == bool(advice)


@pytest.mark.parametrize(
    "error",
    ["rate_limit_exceeded", "rateLimitExceeded", "userRateLimitExceeded", "quota_exceeded", "slow_down"],
)
def test_a_rate_limit_is_throttling_whatever_the_status(error: str) -> None:
    found = answered(error, status=403)
    assert isinstance(found, TokenThrottled)
    assert found.retry_after == 7.0


@pytest.mark.parametrize(
    ("error", "description", "status"),
    [
        ("invalid_grant", "AADSTS90033: A transient error has occurred. Please try again.", 400),
        ("invalid_client", "", 503),
        ("never_heard_of", "", 400),
        ({"code": 500, "status": "INTERNAL"}, "", 400),
    ],
)
def test_what_proves_nothing_is_temporary(error: object, description: str, status: int) -> None:
    assert isinstance(answered(error, description, status), TokenUnavailable)
