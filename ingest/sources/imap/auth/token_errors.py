"""What the errors of token endpoints mean: whom they call, and what that person can do.

RFC 6749 section 5.2 names six errors. Google and Microsoft have more, and Microsoft tells the cause by a number in the
description (``AADSTS7000222``). An unknown error is temporary: that only a person can mend it has to be proved.
"""

import re
from dataclasses import dataclass

import httpx
from oauthlib.oauth2 import OAuth2Error

from ingest.log import printable

REFUSALS = frozenset(
    {
        "invalid_grant",
        "invalid_client",
        "unauthorized_client",
        "unsupported_grant_type",
        "access_denied",
        "invalid_scope",
        "interaction_required",
        "consent_required",
        "login_required",
        "account_selection_required",
        "admin_policy_enforced",
        "deleted_client",
        "disabled_client",
        "restricted_client",
        "org_internal",
        "invalid_account",
        "invalid_resource",
        "invalid_tenant",
    }
)
"""Errors (RFC 6749 section 5.2, OpenID Connect Core section 3.1.2.6, Google's and Microsoft's own) that only a person
can resolve."""
THROTTLING = frozenset(
    {
        "slowdown",
        "temporarilyunavailable",
        "ratelimitexceeded",
        "userratelimitexceeded",
        "quotaexceeded",
        "toomanyrequests",
        "resourceexhausted",
    }
)
"""Errors that ask us to come back later (RFC 8628 section 3.5, RFC 6749 section 4.1.2.1, Google's own), in lower case
and without ``_``, because Google writes ``rate_limit_exceeded`` and ``rateLimitExceeded``."""


@dataclass(frozen=True, slots=True)
class KnownCause:
    """A cause that the error's name or Microsoft's number proves, and what a person can do about it."""

    names: frozenset[str]
    """Names of errors, and numbers of Microsoft without ``AADSTS``."""
    advice: str


KNOWN_CAUSES = (
    KnownCause(
        frozenset({"7000222"}),
        "the application's client secret has ended: make a new one, and set client_secret and client_secret_ends",
    ),
    KnownCause(
        frozenset({"7000215", "7000218"}),
        "client_secret is wrong or missing: copy the secret's value, not its id",
    ),
    KnownCause(
        frozenset({"90002", "900021", "900023", "900971", "50059", "50020", "invalid_tenant"}),
        "the provider does not know this tenant: correct tenant",
    ),
    KnownCause(
        frozenset({"700016", "700038", "7000112", "deleted_client", "disabled_client"}),
        "the provider does not know the application any more, or it is disabled: correct client_id, or enable it there",
    ),
    KnownCause(
        frozenset({"53000", "53001", "53002", "53003", "53004", "530031", "50074", "50076", "50079", "50158"}),
        "a Conditional Access policy of the tenant, or second factor, forbids it: its administrator has to exempt this "
        "application, or somebody logs in again by `ingest imap login`",
    ),
    KnownCause(
        frozenset({"admin_policy_enforced", "org_internal", "restricted_client", "65001", "consent_required"}),
        "an administrator has to allow this application, with its scopes, for the mailbox's organisation",
    ),
    KnownCause(
        frozenset({"50034", "50057", "50053", "invalid_account"}),
        "the mailbox's user does not exist there, or is disabled or locked",
    ),
)
"""The first row whose names has the error counts."""
_THROTTLING_NUMBERS = frozenset({"50196", "90010", "90055"})
_PASSING_NUMBERS = frozenset({"50033", "90033", "90006", "90012", "90020", "90024", "90025"})
"""Microsoft says these, too, are temporary, whatever the name of the error beside them."""
_MICROSOFT = re.compile(r"\bAADSTS(\d{4,8})\b")
_UNNEEDED = re.compile(r"[^a-z0-9]")


class TokenRefused(Exception):
    """The provider says that the refresh token, or the application's secret, is not valid. ``advice`` says what to do
    if the cause is known, else it is ``""``."""

    def __init__(self, text: str, advice: str = "") -> None:
        super().__init__(text)
        self.advice = advice


class TokenThrottled(Exception):
    """The provider wants to be asked later. ``retry_after`` is in seconds, or ``None`` if it does not say."""

    def __init__(self, text: str, retry_after: float | None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class TokenUnavailable(Exception):
    """The provider does not answer, or its response does not prove that the credential is bad."""


def token_error(status: int, headers: httpx.Headers, error: Exception) -> Exception:
    """Return the exception that a response without a token means."""
    name = str(error.error or "")[:100] if isinstance(error, OAuth2Error) else ""
    description = str(getattr(error, "description", "") or "")
    said = printable(f"{name} {description}".strip() or f"HTTP status {status}", 200)
    text = f"the provider gives no token ({said})"
    numbers = frozenset(_MICROSOFT.findall(description[:4000]))
    is_throttled = _UNNEEDED.sub("", name.lower()) in THROTTLING or numbers & _THROTTLING_NUMBERS
    if status == httpx.codes.TOO_MANY_REQUESTS or is_throttled:
        return TokenThrottled(text, parse_seconds(headers.get("Retry-After")))
    if status >= httpx.codes.INTERNAL_SERVER_ERROR or numbers & _PASSING_NUMBERS:
        return TokenUnavailable(text)
    cause = next((cause for cause in KNOWN_CAUSES if cause.names & {name, *numbers}), None)
    if cause is not None or name in REFUSALS:
        return TokenRefused(text, cause.advice if cause else "")
    return TokenUnavailable(text)


def parse_seconds(value: object) -> float | None:
    """Return a duration in seconds as providers write it (number or text), or ``None`` if it is none."""
    try:
        return max(0.0, float(str(value)))
    except ValueError:
        return None
