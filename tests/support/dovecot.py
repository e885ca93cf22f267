"""A real Dovecot for tests and benchmarks: private configuration, unprivileged ports, loopback, ended by its own pid.

Runs as root (mail then belongs to ``nobody``, because Dovecot serves no mail as root) and as an ordinary user. Any
user name logs in with ``PASSWORD``, or with an access token that the test's own OAuth server vouches for. Where
Dovecot is missing it is installed if we are root; failing that, the tests fail in CI (``CI=true``) and are skipped
elsewhere.
"""

import contextlib
import functools
import grp
import imaplib
import os
import pwd
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

PASSWORD = "open-sesame"
START_SECONDS = 20.0

COMMON = """
protocols {protocols}
listen = 127.0.0.1
base_dir = {base}/run
state_dir = {base}/state
log_path = {base}/log
instance_name = ingest-test
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
mail_uid = {user}
mail_gid = {group}
first_valid_uid = 1
mail_max_userip_connections = 1000
auth_failure_delay = 0
auth_cache_size = 0
ssl = yes
service imap {{
  process_limit = 1000
}}
service anvil {{
  chroot =
  client_limit = 4000
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service auth {{
  client_limit = 4000
}}
service stats {{
  chroot =
  client_limit = 4000
}}
"""
"""What Dovecot 2.3 and 2.4 have in common."""

DOVECOT_2_3 = """
mail_location = maildir:{mail}/%u
disable_plaintext_auth = no
auth_mechanisms = plain login xoauth2 oauthbearer
ssl_cert = <{base}/server.pem
ssl_key = <{base}/server.pem
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {base}/oauth2.conf
}}
passdb {{
  driver = static
  mechanisms = plain login
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={mail}/%u
}}
service imap-login {{
  chroot =
  client_limit = 2000
  service_count = 0
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
}}
protocol imap {{
  imap_capability = {capability}
}}
"""
OAUTH2_2_3 = """
introspection_mode = post
introspection_url = {introspection_url}
username_attribute = username
active_attribute = active
active_value = true
"""
"""Dovecot 2.3 reads the settings of its OAuth 2.0 passdb from a file of their own."""

DOVECOT_2_4 = """
mail_driver = maildir
mail_home = {mail}/%{{user}}
mail_path = {mail}/%{{user}}
auth_allow_cleartext = yes
auth_mechanisms {{
  plain = yes
  login = yes
  xoauth2 = yes
  oauthbearer = yes
}}
ssl_server_cert_file = {base}/server.pem
ssl_server_key_file = {base}/server.pem
oauth2 {{
  introspection_mode = post
  introspection_url = {introspection_url}
  username_attribute = username
  active_attribute = active
  active_value = true
}}
passdb oauth2 {{
  mechanisms_filter = xoauth2 oauthbearer
}}
passdb static {{
  mechanisms_filter = plain login
  password = {password}
}}
userdb static {{
  fields {{
    uid = {user}
    gid = {group}
    home = {mail}/%{{user}}
  }}
}}
service imap-login {{
  chroot =
  client_limit = 2000
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
}}
protocol imap {{
  {capability_line}
}}
"""
"""Dovecot 2.4 refuses the settings of 2.3, and wants the versions first (``_configuration`` writes them)."""


class Dovecot:
    """One server in a directory of its own. ``start`` and ``stop`` may alternate; the mail stays until ``close``."""

    def __init__(self, *, capability: str = "", introspection_url: str = "") -> None:
        """``capability`` replaces what the server offers; ``introspection_url`` is where it checks access tokens."""
        self.base = Path(tempfile.mkdtemp(prefix="ingest-dovecot-"))
        self.mail = self.base / "mail"
        self.port, self.tls_port = free_ports(2)
        self.authority = trustme.CA()
        self.ca_file = self.base / "ca.pem"
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = "nobody" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
        self._write(capability, introspection_url or "http://127.0.0.1:1/")

    def _write(self, capability: str, introspection_url: str) -> None:
        for folder in (self.mail, self.base / "run", self.base / "state"):
            folder.mkdir()
        self.base.chmod(0o755)
        self.authority.cert_pem.write_to_path(self.ca_file)
        self.authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
            self.base / "server.pem"
        )
        (self.base / "oauth2.conf").write_text(OAUTH2_2_3.format(introspection_url=introspection_url))
        (self.base / "dovecot.conf").write_text(self._configuration(version(), capability, introspection_url))
        self.own(self.mail)

    def _configuration(self, generation: tuple[int, int], capability: str, introspection_url: str) -> str:
        """Return the configuration for Dovecot of ``generation``, such as (2, 4)."""
        is_new = generation >= (2, 4)
        versions = "dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\n" if is_new else ""
        return versions + (COMMON + (DOVECOT_2_4 if is_new else DOVECOT_2_3)).format(
            protocols="{\n  imap = yes\n}" if is_new else "= imap",
            base=self.base,
            mail=self.mail,
            user=self._owner,
            group=grp.getgrgid(pwd.getpwnam(self._owner).pw_gid).gr_name,
            password=PASSWORD,
            port=self.port,
            tls_port=self.tls_port,
            introspection_url=introspection_url,
            capability=capability,
            capability_line=f"imap_capability = {capability}" if capability else "",
        )

    def own(self, path: Path) -> None:
        """Give what is in ``path`` to the user that the server reads mail as."""
        if os.getuid() == 0:
            for each in (path, *path.rglob("*")):
                shutil.chown(each, self._owner, grp.getgrgid(pwd.getpwnam(self._owner).pw_gid).gr_name)

    def start(self) -> None:
        """Start the server and return when it greets."""
        self._process = subprocess.Popen(
            [executable(), "-F", "-c", str(self.base / "dovecot.conf")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + START_SECONDS
        while not self._greets():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Dovecot did not start:\n{self.log()}")
            time.sleep(0.02)

    def _greets(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as connection:
            return connection.recv(4) == b"* OK"
        return False

    def stop(self) -> None:
        """End the server and all its sessions at once, as a power cut would. The mail stays."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def close(self) -> None:
        """End the server and remove its directory."""
        self.stop()
        shutil.rmtree(self.base, ignore_errors=True)

    def log(self) -> str:
        """What the server has logged."""
        path = self.base / "log"
        return path.read_text("utf-8", "replace") if path.exists() else "(no log)"

    def client(self, user: str, folder: str = "INBOX") -> imaplib.IMAP4:
        """Another client of the mailbox, logged in and with ``folder`` selected."""
        client = imaplib.IMAP4("127.0.0.1", self.port, timeout=10)
        client.login(user, PASSWORD)
        client.select(folder)
        return client

    def deliver(self, user: str, *contents: bytes, folder: str = "INBOX") -> None:
        """Put mails into a folder, as a delivery agent would."""
        client = self.client(user)
        for content in contents:
            status, answer = client.append(folder, "", "", content)
            assert status == "OK", answer
        client.logout()

    def uids(self, user: str, folder: str = "INBOX") -> list[int]:
        """The UIDs in a folder now."""
        client = self.client(user, folder)
        _, (found,) = client.uid("SEARCH", "ALL")
        client.logout()
        return [int(uid) for uid in (found or b"").split()]

    def renew_uid_validity(self, user: str) -> None:
        """Number INBOX anew, as a rebuilt account does. The server must be stopped meanwhile."""
        maildir = self.mail / user
        uid_list = maildir / "dovecot-uidlist"
        header, _, _ = uid_list.read_text("utf-8").partition("\n")
        uid_validity = int(header.split(" V")[1].split()[0])
        uid_list.write_text(f"3 V{uid_validity + 1} N1 G{os.urandom(16).hex()}\n", "utf-8")
        for index in maildir.glob("dovecot.index*"):
            index.unlink()


def executable() -> str:
    """Path of Dovecot, installed now if it is missing and we may."""
    path = shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if path is None and os.getuid() == 0 and shutil.which("apt-get"):
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for command in (
            ["apt-get", "update"],
            ["apt-get", "install", "-y", "--no-install-recommends", "dovecot-imapd"],
        ):
            subprocess.run(command, env=environment, check=False, capture_output=True)
        path = shutil.which("dovecot", path="/usr/sbin:/usr/bin")
    if path is None:
        reason = "Dovecot is not installed and we may not install it: apt-get install dovecot-imapd"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


@functools.cache
def version() -> tuple[int, int]:
    """Return the major and minor version of the installed Dovecot, such as (2, 4)."""
    said = subprocess.run([executable(), "--version"], capture_output=True, text=True, check=True).stdout
    major, minor = said.split(maxsplit=1)[0].split(".")[:2]
    return int(major), int(minor)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextlib.contextmanager
def dovecot(*, capability: str = "", introspection_url: str = "") -> Iterator[Dovecot]:
    """Yield a started server, and close it at the end."""
    executable()
    server = Dovecot(capability=capability, introspection_url=introspection_url)
    try:
        server.start()
        yield server
    finally:
        server.close()


def tls_context(server: Dovecot) -> ssl.SSLContext:
    """A client context that trusts the server's own authority."""
    return ssl.create_default_context(cafile=str(server.ca_file))
