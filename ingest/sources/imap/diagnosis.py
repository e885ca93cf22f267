"""What went wrong, in one line that says what to do, and of which kind it is: the kind decides when we try again."""

import re
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from ingest.config.imap_accounts import CredentialUnreadable, ImapAccount
from ingest.sources.imap.auth.login import LoginRefused, NoCommonMechanism
from ingest.sources.imap.auth.oauth import TokenRefused, TokenThrottled, TokenUnavailable
from ingest.sources.imap.protocol.client import Bye, Insecure, NotImap, Refused
from ingest.sources.imap.protocol.wire import ConnectionLost

PROVEN_AFTER = 3
"""Log-ins refused in a row without a reason that proves anything, until the credential is taken to be wrong. Servers
also refuse when they are ill, and a single such answer must not stop a mailbox."""


class Kind(StrEnum):
    """What a failure asks for."""

    PASSING = "passing"
    """Wait, twice as long each time."""
    THROTTLED = "throttled"
    """The server says that we ask too much of it: wait at least as long as it says."""
    REFUSED = "refused"
    """The credential does not open the account: the operator must act, and we try at a slow pace."""
    SETUP = "setup"
    """The settings do not fit the server: as PASSING, since servers and networks change too."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure, understood."""

    kind: Kind
    text: str
    retry_after: float | None = None
    """Seconds to wait at least, where the other side said so."""


class FolderMissing(Exception):
    """The server does not open a folder."""


CODES = {
    "AUTHENTICATIONFAILED": Kind.REFUSED,
    "AUTHORIZATIONFAILED": Kind.REFUSED,
    "EXPIRED": Kind.REFUSED,
    "CONTACTADMIN": Kind.REFUSED,
    "PRIVACYREQUIRED": Kind.SETUP,
    "LIMIT": Kind.THROTTLED,
    "OVERQUOTA": Kind.THROTTLED,
    "UNAVAILABLE": Kind.PASSING,
    "INUSE": Kind.PASSING,
    "SERVERBUG": Kind.PASSING,
}
"""What the response codes of RFC 5530 mean to us. Gmail says OVERQUOTA when its bandwidth limits are reached."""

_THROTTLED = re.compile(r"throttl|too many|rate.?limit|bandwidth|limit(?:s)? exceeded|exceeded .*limit", re.IGNORECASE)
_PASSING = re.compile(r"temporar|try again|unavailable|not connected|internal error|backend", re.IGNORECASE)
_BACKOFF = re.compile(r"backoff time:? *(\d{1,9}) *milliseconds", re.IGNORECASE)


def diagnose(error: BaseException, account: ImapAccount, refusals: int = 1) -> Failure:
    """What ``error`` means for ``account``, after ``refusals`` refused log-ins in a row, this one included."""
    if isinstance(error, LoginRefused):
        return _login_refused(error, account, refusals)
    for kind_of_error, explain in _TABLE:
        if isinstance(error, kind_of_error):
            return explain(error, account)
    return Failure(Kind.PASSING, f"{type(error).__name__}: {error}")


def status_kind(refusal: Refused | Bye) -> Kind | None:
    """What a status response proves by its code or its text; ``None``: nothing."""
    status = refusal.status
    if _THROTTLED.search(status.text):
        return Kind.THROTTLED
    if status.code in CODES:
        return CODES[status.code]
    return Kind.PASSING if _PASSING.search(status.text) else None


def _backoff(text: str) -> float | None:
    """Exchange Online names the time that it wants to be left alone for."""
    stated = _BACKOFF.search(text)
    return int(stated[1]) / 1000 if stated else None


def _login_refused(error: LoginRefused, account: ImapAccount, refusals: int) -> Failure:
    kind = status_kind(error)
    said = f"{error}{f' ({error.detail})' if error.detail else ''}"
    if kind is Kind.THROTTLED:
        return Failure(kind, said, _backoff(error.status.text))
    proven = kind is Kind.REFUSED and account.auth == "password"
    if not proven and refusals < PROVEN_AFTER:
        return Failure(Kind.PASSING, said)
    if kind is Kind.PASSING:
        return Failure(Kind.PASSING, said)
    return Failure(Kind.REFUSED, f"{said}: {_renew_credential(account)}")


def _renew_credential(account: ImapAccount) -> str:
    if account.auth == "password":
        return "check user and password (many providers want an app password, or oauth, instead of the person's own)"
    if account.oauth and account.oauth.flow == "client_credentials":
        return "the application must be allowed to read this mailbox by IMAP; docs/imap.md says how"
    return f"run `ingest imap login {account.name}`, as the user {account.user}"


def _status(error: BaseException, _account: ImapAccount) -> Failure:
    assert isinstance(error, Refused | Bye)  # as the table says
    kind = status_kind(error) or Kind.PASSING
    return Failure(Kind.PASSING if kind is Kind.REFUSED else kind, str(error), _backoff(error.status.text))


def _certificate(error: BaseException, account: ImapAccount) -> Failure:
    reason = getattr(error, "verify_message", "") or str(error)
    advice = "set host to the name on the certificate, or ca_file to the authority that issued it"
    return Failure(Kind.SETUP, f"the certificate of {_address(account)} is not valid for it ({reason}): {advice}")


def _tls(error: BaseException, account: ImapAccount) -> Failure:
    reason = getattr(error, "reason", "") or str(error)
    advice = f"port and security = {account.security} must fit (993 with tls, 143 with starttls)"
    return Failure(Kind.SETUP, f"TLS fails at {_address(account)} ({reason}): {advice}")


def _token_refused(error: BaseException, account: ImapAccount) -> Failure:
    return Failure(Kind.REFUSED, f"{error}: {_renew_token(account)}")


def _renew_token(account: ImapAccount) -> str:
    if account.oauth and account.oauth.flow == "client_credentials":
        return "check client_id, tenant and client_secret, and whether the secret has ended"
    return f"run `ingest imap login {account.name}`"


def _token_throttled(error: BaseException, _account: ImapAccount) -> Failure:
    return Failure(Kind.THROTTLED, str(error), getattr(error, "retry_after", None))


def _says(kind: Kind, template: str) -> Callable[[BaseException, ImapAccount], Failure]:
    def explain(error: BaseException, account: ImapAccount) -> Failure:
        return Failure(kind, template.format(error=error, address=_address(account), account=account))

    return explain


def _address(account: ImapAccount) -> str:
    return f"{account.host}:{account.tcp_port}"


_TABLE: tuple[tuple[type[BaseException], Callable[[BaseException, ImapAccount], Failure]], ...] = (
    (TokenThrottled, _token_throttled),
    (TokenRefused, _token_refused),
    (CredentialUnreadable, _says(Kind.REFUSED, "{error}: make the file readable for this user")),
    (NoCommonMechanism, _says(Kind.SETUP, "{error}: auth = {account.auth} does not work there")),
    (FolderMissing, _says(Kind.SETUP, "{error}: correct `folders`; `ingest check` lists those that exist")),
    (Insecure, _says(Kind.SETUP, "{error}: nothing was sent; use security = tls, usually on port 993")),
    (NotImap, _says(Kind.SETUP, "{address}: {error}: check host, port and security")),
    (Refused, _status),
    (Bye, _status),
    (ConnectionLost, _says(Kind.PASSING, "{address}: {error}; connecting again")),
    (TokenUnavailable, _says(Kind.PASSING, "{error}; asking again")),
    (ssl.SSLCertVerificationError, _certificate),
    (ssl.SSLError, _tls),
    (socket.gaierror, _says(Kind.SETUP, "the host name {account.host} is not known: check host, and the DNS here")),
    (ConnectionRefusedError, _says(Kind.SETUP, "nobody listens at {address}: check host and port")),
    (FileNotFoundError, _says(Kind.SETUP, "cannot read {account.ca_file}: correct ca_file")),
    (TimeoutError, _says(Kind.PASSING, "{address} does not answer: check host, port and the firewall")),
    (OSError, _says(Kind.PASSING, "cannot reach {address} ({error}): check the network, host and port")),
)
"""The first row that fits explains. What is in no row is passing: permanent must be proved."""
