"""A private Postfix to measure beside: own configuration, own queue, a port of the loopback, and nothing delivered.

It takes mail as a server does that must not lose any (cleanup syncs each queue file before ``250``) and puts each on
hold. Logging goes to a file of its own. It needs root, because Postfix changes to its own user; what the system's own
Postfix has, runs and logs is not touched.
"""

import grp
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.processes import free_port, wait_for

DAEMONS = Path("/usr/lib/postfix/sbin")
MIB = 1024 * 1024
MAIN = """\
compatibility_level = 3.6
command_directory = /usr/sbin
daemon_directory = {daemons}
queue_directory = {folder}/queue
data_directory = {folder}/data
mail_owner = postfix
setgid_group = postdrop
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mx.bench.example
mydestination = {domain}
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
local_recipient_maps =
message_size_limit = {size_limit}
mailbox_size_limit = 0
default_process_limit = 100
smtpd_client_connection_count_limit = 0
in_flow_delay = 0
smtpd_peername_lookup = no
smtpd_recipient_restrictions = check_client_access static:HOLD, permit_mynetworks, reject
"""
MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
showq unix n - n - - showq
error unix - - n - - error
local unix - n n - - error
postlog unix-dgram n - n - 1 postlogd
"""
PRIVATE = ("incoming", "active", "hold", "deferred", "defer", "bounce", "corrupt", "flush", "trace", "saved", "private")


def require() -> None:
    """Stop with a line that says what to do where Postfix cannot be measured here."""
    if not (DAEMONS / "master").exists() or not shutil.which("smtp-source"):
        raise SystemExit("Postfix and its smtp-source are missing: apt-get install postfix")
    if os.geteuid() != 0:
        raise SystemExit("Postfix runs its parts under its own user: start this benchmark as root")


@contextmanager
def postfix(folder: Path, domain: str) -> Iterator[int]:
    """The port of a Postfix that holds all mail for ``domain`` in ``folder``; ended with the block."""
    port = free_port()
    _prepare(folder, domain, port)
    # A session of its own makes master the leader of its group, and it ends the group with itself.
    master = subprocess.Popen(
        [DAEMONS / "master", "-c", folder, "-d"], env=os.environ | {"MAIL_CONFIG": str(folder)}, start_new_session=True
    )
    try:
        wait_for(port, master)
        yield port
    finally:
        master.terminate()
        master.wait(30)


def held(folder: Path) -> int:
    """Mails on hold."""
    return sum(1 for _ in (folder / "queue/hold").iterdir())


def _prepare(folder: Path, domain: str, port: int) -> None:
    facts = {"folder": folder, "daemons": DAEMONS, "domain": domain, "port": port, "size_limit": 35 * MIB}
    (folder / "main.cf").write_text(MAIN.format(**facts), "ascii")
    (folder / "master.cf").write_text(MASTER.format(**facts), "ascii")
    user, group = pwd.getpwnam("postfix"), grp.getgrnam("postdrop")
    folder.chmod(0o755)
    (folder / "queue").mkdir()
    (folder / "queue/pid").mkdir()
    for name in (*(f"queue/{name}" for name in PRIVATE), "data"):
        _directory(folder / name, user.pw_uid, user.pw_gid, 0o700)
    _directory(folder / "queue/public", user.pw_uid, group.gr_gid, 0o2710)
    _directory(folder / "queue/maildrop", user.pw_uid, group.gr_gid, 0o1730)


def _directory(path: Path, user: int, group: int, mode: int) -> None:
    path.mkdir()
    os.chown(path, user, group)
    path.chmod(mode)
