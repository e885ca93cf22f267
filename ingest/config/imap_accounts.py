"""IMAP accounts as the operator describes them: tables ``[[imap]]`` of the TOML file.

Checked when the settings are loaded, so that a typing error is told at the start and not in a log at night. Secrets
are given in the table or, better, as the path of a file; a file is read again at each log-in, so a new password needs
no restart. They are never printed.
"""

import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from ingest.config.types import checked_authserv_ids

LOOPBACK = ("localhost", "127.0.0.1", "::1")
DEFAULT_PORTS = {"tls": 993, "starttls": 143, "none": 143}
OneLine = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""Text that is sent to the server: without line ends, so that it cannot become a second command."""

ANY_TENANT = "organizations"
GOOGLE_SCOPE = "https://mail.google.com/"
MICROSOFT_SCOPES = {
    "refresh_token": "https://outlook.office.com/IMAP.AccessAsUser.All offline_access",
    "client_credentials": "https://outlook.office365.com/.default",
}


_PROVIDERS = MappingProxyType(
    {
        "imap.gmail.com": ("google",),
        "imap.googlemail.com": ("google",),
        "outlook.office365.com": ("microsoft",),
        "outlook.office.com": ("microsoft",),
        "imap-mail.outlook.com": ("microsoft",),
    }
)
"""Hosts of providers that check what they take in, and write one field of results on top of it."""


class CredentialUnreadable(Exception):
    """The file of a secret cannot be read. The text says which file, and why."""


class _TomlTable(BaseModel):
    """A table of the TOML file: immutable, and a key that it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class OAuthClient(_TomlTable):
    """Table ``[imap.oauth]``: how access tokens are got (RFC 6749)."""

    provider: Literal["google", "microsoft", "other"] = Field(
        description="Gives the addresses and the scope; with other, set token_url and scope."
    )
    flow: Literal["refresh_token", "client_credentials"] = Field(
        "refresh_token", description="On behalf of a person who logged in once, or as the application itself."
    )
    client_id: OneLine = Field(description="The application's id, as the provider shows it.")
    client_secret: SecretStr | None = Field(None, description="The application's secret, where it has one.")
    client_secret_file: Path | None = Field(None, description="File that holds the application's secret.")
    client_secret_ends: datetime.date | None = Field(
        None, description="Day on which the secret ends; the provider shows it once, and no program can ask for it."
    )
    tenant: str = Field(
        ANY_TENANT, pattern=r"^[A-Za-z0-9.-]+$", description="Microsoft: tenant id or domain of the organisation."
    )
    scope: OneLine | None = Field(None, description="What is asked for; the provider's own by default.")
    token_url: str | None = Field(None, pattern=r"^https?://", description="Token endpoint.")
    device_url: str | None = Field(None, pattern=r"^https?://", description="Device authorization endpoint (RFC 8628).")
    refresh_token_file: Path | None = Field(
        None, description="File with a first refresh token, where `ingest imap login` cannot get one."
    )

    @model_validator(mode="after")
    def _is_complete(self) -> "OAuthClient":
        if self.provider == "other" and not (self.token_url and self.scope):
            raise ValueError('provider = "other" needs token_url and scope')
        if self.flow == "client_credentials" and not (self.client_secret or self.client_secret_file):
            raise ValueError('flow = "client_credentials" needs client_secret or client_secret_file')
        if self.flow == "client_credentials" and self.provider == "microsoft" and self.tenant == ANY_TENANT:
            raise ValueError('flow = "client_credentials" needs tenant: the id or the domain of your organisation')
        for url in (self.token_url, self.device_url):
            if url and urlsplit(url).scheme == "http" and urlsplit(url).hostname not in LOOPBACK:
                raise ValueError(f"{url}: secrets go there, so write https://")
        return self

    def secret(self) -> str | None:
        """Return the application's secret; a file is read at each call.

        Raises:
            CredentialUnreadable: its file cannot be read.
        """
        return _secret(self.client_secret, self.client_secret_file)

    def first_refresh_token(self) -> str | None:
        """Return the refresh token that the operator supplied; its file is read at each call.

        Raises:
            CredentialUnreadable: its file cannot be read.
        """
        return _secret(None, self.refresh_token_file)

    @property
    def scopes(self) -> str:
        """The OAuth scope to ask for (RFC 6749 section 3.3)."""
        return self.scope or (GOOGLE_SCOPE if self.provider == "google" else MICROSOFT_SCOPES[self.flow])

    @property
    def token_endpoint(self) -> str:
        """The address of the token endpoint (RFC 6749 section 3.2)."""
        return self.token_url or self._endpoint("https://oauth2.googleapis.com/token", "token")

    @property
    def device_endpoint(self) -> str | None:
        """The device authorization endpoint (RFC 8628 section 3.1), or ``None`` if there is none for this scope.

        Google has a device flow, but not for the scope of IMAP.
        """
        if self.device_url or self.provider != "microsoft":
            return self.device_url
        return self._endpoint("", "devicecode")

    def _endpoint(self, google: str, microsoft: str) -> str:
        if self.provider == "google":
            return google
        return f"https://login.microsoftonline.com/{self.tenant}/oauth2/v2.0/{microsoft}"


class ImapAccount(_TomlTable):
    """Table ``[[imap]]``: one mailbox account."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$", description="Names the account in logs, metrics and the store."
    )
    host: OneLine = Field(description="Host name of the IMAP server, as its certificate has it.")
    port: int = Field(0, ge=0, le=65_535, description="TCP port; 993 with tls, else 143.")
    security: Literal["tls", "starttls", "none"] = Field("tls", description="none only towards loopback.")
    ca_file: Path | None = Field(None, description="PEM file with the authority to trust instead of the system's.")
    user: OneLine = Field(description="Log-in name, often the mail address.")
    auth: Literal["password", "xoauth2", "oauthbearer"] = Field("password", description="How we log in.")
    password: SecretStr | None = Field(None, description="For auth = password.")
    password_file: Path | None = Field(None, description="File that holds the password.")
    oauth: OAuthClient | None = Field(None, description="For auth = xoauth2 and oauthbearer.")
    folders: tuple[OneLine, ...] = Field(("INBOX",), min_length=1, description="Folders to read.")
    recipients: tuple[OneLine, ...] = Field(
        (), description="Addresses that the mailbox stands for; the log-in name where that is an address."
    )
    first: Literal["all", "new"] | datetime.date = Field(
        "new", description="Which mail counts when a folder is met the first time: all, new, or since a date."
    )
    after: Literal["nothing", "seen", "move", "delete"] = Field(
        "nothing", description="What happens in the mailbox to mail that is safely stored."
    )
    move_to: OneLine | None = Field(None, description="Folder for after = move; it must exist.")
    authserv_ids: Annotated[tuple[str, ...], AfterValidator(checked_authserv_ids)] | None = Field(
        None,
        description="Servers whose Authentication-Results are believed; by default Google's and Microsoft's.",
    )
    poll: float = Field(60.0, ge=1, le=3600, description="Seconds between looks, where the server has no IDLE.")

    @field_validator("folders", mode="before")
    @classmethod
    def _one_inbox(cls, value: object) -> object:
        """INBOX is the same folder in any case (RFC 3501 section 5.1), so it must have one name with us."""
        if not isinstance(value, list | tuple):
            return value
        return tuple("INBOX" if isinstance(name, str) and name.upper() == "INBOX" else name for name in value)

    @model_validator(mode="after")
    def _agrees(self) -> "ImapAccount":
        if self.security == "none" and self.host not in LOOPBACK:
            raise ValueError('security = "none" would send the password in clear: use tls or starttls')
        if (self.after == "move") != (self.move_to is not None):
            raise ValueError('after = "move" and move_to belong together')
        if self.move_to in self.folders:
            raise ValueError("move_to is one of the folders that are read: mail moved there would come again")
        if len(set(self.folders)) != len(self.folders):
            raise ValueError("folders: one is named twice")
        return self

    @model_validator(mode="after")
    def _can_log_in(self) -> "ImapAccount":
        if self.auth == "password" and not (self.password or self.password_file):
            raise ValueError('auth = "password" needs password or password_file')
        if self.auth != "password" and self.oauth is None:
            raise ValueError(f'auth = "{self.auth}" needs a table [imap.oauth]')
        if not self.addresses:
            raise ValueError("recipients: name the addresses that the mailbox stands for, since user is none")
        return self

    @property
    def tcp_port(self) -> int:
        """The port to connect to: the configured one, else the usual one for ``security``."""
        return self.port or DEFAULT_PORTS[self.security]

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses that count as recipients of mail in this account."""
        return self.recipients or ((self.user,) if "@" in self.user else ())

    @property
    def trusted_servers(self) -> tuple[str, ...]:
        """The authserv-ids whose results are believed in this account: those of the table, else the provider's own."""
        if self.authserv_ids is not None:
            return self.authserv_ids
        provider = self.oauth.provider if self.oauth is not None else "other"
        return (provider,) if provider != "other" else _PROVIDERS.get(self.host.lower(), ())

    def source(self, folder: str) -> str:
        """Return the name of one folder in the store, as in ``SourceRef.source``."""
        return f"imap:{self.name}/{folder}"

    def read_password(self) -> str:
        """Return the password; a file is read at each call.

        Raises:
            CredentialUnreadable: its file cannot be read.
        """
        return _secret(self.password, self.password_file) or ""


def names_are_unique(accounts: tuple[ImapAccount, ...]) -> tuple[ImapAccount, ...]:
    """Return ``accounts`` unchanged if their names are unique; a validator of the settings.

    Raises:
        ValueError: two accounts share a name, and would share their folders' records in the store.
    """
    names = [account.name for account in accounts]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"two accounts are named {', '.join(twice)}: each needs a name of its own")
    return accounts


def _secret(value: SecretStr | None, path: Path | None) -> str | None:
    if value is not None:
        return value.get_secret_value()
    if path is None:
        return None
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CredentialUnreadable(f"cannot read {path}: {error}") from error
