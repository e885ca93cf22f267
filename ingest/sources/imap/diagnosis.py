"""Explains errors: turns each into a line that says what to do, and a kind that decides when we retry."""

import re
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from ingest.config.imap_accounts import CredentialUnreadable, ImapAccount
from ingest.sources.imap.auth.login import LoginRefused, NoCommonMechanism
from ingest.sources.imap.auth.token_errors import TokenRefused, TokenThrottled, TokenUnavailable
from ingest.sources.imap.protocol.client import CommandRefused, NotImap, ServerBye, TlsFromTheStart, TlsUnavailable
from ingest.sources.imap.protocol.wire import ConnectionLost

PROVEN_AFTER_REFUSALS = 3
"""After this many log-ins in a row that were refused without a conclusive reason, the credential is assumed to be
wrong. Servers also refuse when they have trouble of their own, and one such refusal must not stop a mailbox."""


class FailureKind(StrEnum):
    """What a failure requires us to do."""

    PASSING = "passing"
    """Retry; the wait doubles each time."""
    THROTTLED = "throttled"
    """The server says that we send too many requests: wait at least as long as it says."""
    REFUSED = "refused"
    """The credential is not accepted: the operator must act, and we retry at long intervals."""
    SETUP = "setup"
    """The settings do not fit the server. Retried as PASSING, because servers and networks change too."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure, explained for the operator."""

    kind: FailureKind
    text: str
    """One line that says what to do."""
    retry_after: float | None = None
    """Least seconds to wait, if the server or provider said so."""


class FolderMissing(Exception):
    """The server refuses to open a folder."""


CODES = {
    "AUTHENTICATIONFAILED": FailureKind.REFUSED,
    "AUTHORIZATIONFAILED": FailureKind.REFUSED,
    "EXPIRED": FailureKind.REFUSED,
    "CONTACTADMIN": FailureKind.REFUSED,
    "PRIVACYREQUIRED": FailureKind.SETUP,
    "LIMIT": FailureKind.THROTTLED,
    "OVERQUOTA": FailureKind.THROTTLED,
    "UNAVAILABLE": FailureKind.PASSING,
    "INUSE": FailureKind.PASSING,
    "SERVERBUG": FailureKind.PASSING,
}
"""What response codes (RFC 5530) mean for us. Gmail sends OVERQUOTA when its bandwidth limits are reached."""

_THROTTLED = re.compile(r"throttl|too many|rate.?limit|bandwidth|limit(?:s)? exceeded|exceeded .*limit", re.IGNORECASE)
_PASSING = re.compile(r"temporar|try again|unavailable|not connected|internal error|backend", re.IGNORECASE)
_NOT_CONNECTED = re.compile(r"authenticated but not connected", re.IGNORECASE)
_BACKOFF = re.compile(r"backoff time:? *(\d{1,9}) *milliseconds", re.IGNORECASE)


def diagnose(error: BaseException, account: ImapAccount, refusals: int = 1) -> Failure:
    """Explain ``error``. ``refusals`` counts the refused log-ins in a row of ``account``, this one included."""
    if isinstance(error, LoginRefused):
        return _login_refused(error, account, refusals)
    for kind_of_error, explain in _TABLE:
        if isinstance(error, kind_of_error):
            return explain(error, account)
    return Failure(FailureKind.PASSING, f"{type(error).__name__}: {error}")


def status_kind(refusal: CommandRefused | ServerBye) -> FailureKind | None:
    """Return the kind of failure that a status response proves by code or text, or ``None`` if it proves nothing."""
    status = refusal.status
    if _THROTTLED.search(status.text):
        return FailureKind.THROTTLED
    if status.code in CODES:
        return CODES[status.code]
    return FailureKind.PASSING if _PASSING.search(status.text) else None


def may_concern_one_message(refusal: CommandRefused) -> bool:
    """Return whether a refused FETCH may be about a single message. Servers say that they are unavailable, or have a
    bug, both in an outage and of one message that they cannot open (``NO [UNAVAILABLE]``, ``NO [SERVERBUG]``)."""
    return status_kind(refusal) in (None, FailureKind.PASSING)


def _backoff(text: str) -> float | None:
    """Return the seconds of back-off that Exchange Online asks for in its text, or ``None``."""
    stated = _BACKOFF.search(text)
    return int(stated[1]) / 1000 if stated else None


def _login_refused(error: LoginRefused, account: ImapAccount, refusals: int) -> Failure:
    kind = status_kind(error)
    said = f"{error}{f' ({error.detail})' if error.detail else ''}"
    if kind is FailureKind.THROTTLED:
        return Failure(kind, said, _backoff(error.status.text))
    proven = kind is FailureKind.REFUSED and account.auth == "password"
    if not proven and refusals < PROVEN_AFTER_REFUSALS:
        return Failure(FailureKind.PASSING, said)
    if kind is FailureKind.PASSING:
        return Failure(FailureKind.PASSING, said)
    return Failure(FailureKind.REFUSED, f"{said}: {_renew_credential(account)}")


def _renew_credential(account: ImapAccount) -> str:
    if account.auth == "password":
        return "check user and password (many providers want an app password, or oauth, instead of the person's own)"
    if account.oauth and account.oauth.flow == "client_credentials":
        return "the application must be allowed to read this mailbox by IMAP; docs/imap.md says how"
    return f"run `ingest imap login {account.name}`, as the user {account.user}"


def _status(error: BaseException, account: ImapAccount) -> Failure:
    assert isinstance(error, CommandRefused | ServerBye)  # guaranteed by _TABLE
    kind = status_kind(error) or FailureKind.PASSING
    said = str(error)
    if _NOT_CONNECTED.search(error.status.text):
        said = f"{said}: {_permit_mailbox(account)}"
    return Failure(FailureKind.PASSING if kind is FailureKind.REFUSED else kind, said, _backoff(error.status.text))


def _permit_mailbox(account: ImapAccount) -> str:
    """Return what Exchange's "authenticated but not connected" usually means: the token is good, and not for this."""
    what = "the log-in" if account.auth == "password" else "the token (its scope must be for IMAP)"
    return (
        f"{what} is accepted, but opens no mailbox of user. Check that user is the mailbox's own address, that "
        "whoever logs in has full access to it if it is a shared mailbox, and that IMAP is enabled for it; docs/imap.md"
    )


def _certificate(error: BaseException, account: ImapAccount) -> Failure:
    reason = getattr(error, "verify_message", "") or str(error)
    advice = "set host to the name on the certificate, or ca_file to the authority that issued it"
    return Failure(
        FailureKind.SETUP, f"the certificate of {_address(account)} is not valid for it ({reason}): {advice}"
    )


def _tls(error: BaseException, account: ImapAccount) -> Failure:
    reason = getattr(error, "reason", "") or str(error)
    advice = f"port and security = {account.security} must fit (993 with tls, 143 with starttls)"
    return Failure(FailureKind.SETUP, f"TLS fails at {_address(account)} ({reason}): {advice}")


def _token_refused(error: BaseException, account: ImapAccount) -> Failure:
    assert isinstance(error, TokenRefused)  # guaranteed by _TABLE
    return Failure(FailureKind.REFUSED, f"{error}: {error.advice or _renew_token(account)}")


def _renew_token(account: ImapAccount) -> str:
    if account.oauth and account.oauth.flow == "client_credentials":
        return "check client_id, tenant and client_secret, and whether the secret has ended"
    return f"run `ingest imap login {account.name}`"


def _token_throttled(error: BaseException, _account: ImapAccount) -> Failure:
    return Failure(FailureKind.THROTTLED, str(error), getattr(error, "retry_after", None))


def _means(kind: FailureKind, template: str) -> Callable[[BaseException, ImapAccount], Failure]:
    def explain(error: BaseException, account: ImapAccount) -> Failure:
        return Failure(kind, template.format(error=error, address=_address(account), account=account))

    return explain


def _address(account: ImapAccount) -> str:
    return f"{account.host}:{account.tcp_port}"


_TABLE: tuple[tuple[type[BaseException], Callable[[BaseException, ImapAccount], Failure]], ...] = (
    (TokenThrottled, _token_throttled),
    (TokenRefused, _token_refused),
    (CredentialUnreadable, _means(FailureKind.REFUSED, "{error}: make the file readable for this user")),
    (NoCommonMechanism, _means(FailureKind.SETUP, "{error}: auth = {account.auth} does not work there")),
    (
        FolderMissing,
        _means(FailureKind.SETUP, "{error}: correct `folders`; `ingest check` lists those that exist"),
    ),
    (
        TlsFromTheStart,
        _means(FailureKind.SETUP, "{error}: nothing was sent; use security = tls with port {account.tcp_port}"),
    ),
    (
        TlsUnavailable,
        _means(FailureKind.SETUP, "{error}: nothing was sent; use security = tls, usually on port 993"),
    ),
    (NotImap, _means(FailureKind.SETUP, "{address}: {error}: check host, port and security")),
    (CommandRefused, _status),
    (ServerBye, _status),
    (ConnectionLost, _means(FailureKind.PASSING, "{address}: {error}; connecting again")),
    (TokenUnavailable, _means(FailureKind.PASSING, "{error}; asking again")),
    (ssl.SSLCertVerificationError, _certificate),
    (ssl.SSLError, _tls),
    (
        socket.gaierror,
        _means(FailureKind.SETUP, "the host name {account.host} is not known: check host and the DNS"),
    ),
    (ConnectionRefusedError, _means(FailureKind.SETUP, "nobody listens at {address}: check host and port")),
    (FileNotFoundError, _means(FailureKind.SETUP, "cannot read {account.ca_file}: correct ca_file")),
    (TimeoutError, _means(FailureKind.PASSING, "{address} does not answer: check host, port and the firewall")),
    (OSError, _means(FailureKind.PASSING, "cannot reach {address} ({error}): check the network, host and port")),
)
"""How to explain each class of error; the first matching row is used. An error in no row is passing: that a failure is
permanent has to be proved."""
