"""The command line as a whole: help, exit codes, errors."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from ingest import __version__
from ingest.cli import COMMANDS, load_command
from ingest.cli.exit_codes import INTERRUPTED, ExitCode
from ingest.cli.settings import markdown_table
from tests.support.commands import ROOT, Shell
from tests.support.measured import UNMEASURED


@pytest.fixture
def ingest(capsys: pytest.CaptureFixture[str], tmp_path: object) -> Shell:
    return Shell(capsys, {"INGEST_DATABASE_URL": f"sqlite:///{tmp_path}/ingest.db"})


def all_commands() -> Iterator[tuple[str, Any]]:
    for name in COMMANDS:
        command = load_command(name)
        yield name, command
        for under, subcommand in getattr(command, "commands", {}).items():
            yield f"{name} {under}", subcommand


# Help


@pytest.mark.parametrize(("words", "command"), [pytest.param(*each, id=each[0]) for each in all_commands()])
def test_help_says_what_the_command_and_each_of_its_parameters_do(ingest: Shell, words: str, command: Any) -> None:
    told = ingest(*words.split(), "--help")
    assert told.code == 0
    assert len(command.get_short_help_str(limit=60)) > 12
    assert "..." not in command.get_short_help_str(limit=60)
    for parameter in command.params:
        assert len(parameter.help.split()) > 2, parameter.name
        assert parameter.help.split()[0] in told.out


@pytest.mark.parametrize("words", [*COMMANDS, "messages list", "threads add", "imap login"])
def test_the_short_option_for_help_works_everywhere(ingest: Shell, words: str) -> None:
    assert ingest(*words.split(), "-h") == ingest(*words.split(), "--help")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_gives_the_first_sentence_of_each_command(name: str) -> None:
    assert COMMANDS[name] == load_command(name).get_short_help_str(limit=60)


def test_each_command_of_the_design_is_there(ingest: Shell) -> None:
    listed = re.findall(r"^  ([a-z]+) ", ingest("--help").out.partition("Commands:")[2], re.MULTILINE)
    assert sorted(listed) == sorted(COMMANDS)
    assert {"serve", "replay", "explain", "messages", "threads", "ledger", "check", "sandbox", "migrate"} <= set(listed)


def test_the_help_names_every_exit_code(ingest: Shell) -> None:
    told = ingest("--help").out.partition("Exit codes:")[2].partition("Options:")[0]
    assert [int(number) for number in re.findall(r"\d+", told)] == [*ExitCode, INTERRUPTED]


def test_the_readme_names_every_exit_code() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert [int(number) for number in re.findall(r"^\| (\d+) \|", readme, re.MULTILINE)] == [*ExitCode, INTERRUPTED]


@pytest.mark.parametrize("words", [(), ("messages",), ("threads",)], ids=" ".join)
def test_a_group_without_a_command_shows_its_help(ingest: Shell, words: tuple[str, ...]) -> None:
    told = ingest(*words)
    assert told.code == ExitCode.USAGE
    assert "Commands:" in told.err


def test_the_version_is_printed(ingest: Shell) -> None:
    assert ingest("--version").out == f"ingest {__version__}\n"


# Imports and shell completion


KEY = "0123456789abcdef0123456789abcdef"
"""A signing key of the least length."""
LIGHT = frozenset({"annotated_doc", "ingest", "shellingham", "sitecustomize", "typer", "typing_extensions"})
"""Packages outside the standard library that ``ingest --help`` may import; Debian's Python brings ``sitecustomize``."""

PRINT_IMPORTS = """
import sys
from ingest.cli import main
try:
    main(sys.argv[1:])
finally:
    print("imported:", *sys.modules)
"""


@pytest.mark.parametrize("option", ["--version", "--help", "-h"])
def test_version_and_help_import_no_command_and_no_heavy_library(option: str) -> None:
    command = [sys.executable, "-c", PRINT_IMPORTS, option]
    told = subprocess.run(command, env=UNMEASURED, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    imported = told.partition("imported: ")[2].split()
    packages = {name.partition(".")[0] for name in imported} - sys.stdlib_module_names
    assert {name for name in packages if not name.startswith("__")} <= LIGHT
    ours = {name for name in imported if name.startswith("ingest")}
    assert ours == {"ingest", "ingest.cli", "ingest.cli.exit_codes"}


COMPLETE_IN_BASH = """
ingest() { "$PYTHON" -m ingest "$@"; }
env() { local pair; while [[ $1 == *=* ]]; do local -x "$1"; shift; done; "$@"; }
eval "$(ingest --show-completion bash)"
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_ingest_completion ingest
echo "${COMPREPLY[*]}"
"""
"""What bash does at a press of TAB. The functions stand in for a program of that name on the PATH."""


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (("ingest", "mess"), "messages"),
        (("ingest", "messages", "re"), "retry release"),
        (("ingest", "serve", "--sand"), "--sandbox"),
        (("ingest", "messages", "list", "--state", "qu"), "queued quarantined"),
    ],
    ids=str,
)
def test_bash_completes_commands_options_and_values(words: tuple[str, ...], completed: str) -> None:
    ended = subprocess.run(
        ["bash", "-c", COMPLETE_IN_BASH, "bash", *words],
        env={"PATH": os.environ["PATH"], "PYTHON": sys.executable},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stdout.strip() == completed, ended.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_of_each_shell_is_printed(ingest: Shell, shell: str) -> None:
    assert f"_INGEST_COMPLETE=complete_{shell}" in ingest("--show-completion", shell).out


# Errors


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("frobnicate",), "No such command 'frobnicate'. See `ingest --help`."),
        (("ledger", "--nope"), "No such option: --nope See `ingest ledger --help`."),
        (("messages", "show"), "Missing argument 'ID'. See `ingest messages show --help`."),
        (("messages", "list", "--limit", "0"), "greater than or equal to 1 See `ingest messages list --help`."),
        (("messages", "list", "--state", "lost"), "is not one of 'queued', 'waiting'"),
    ],
    ids=str,
)
def test_a_wrong_command_line_is_one_line_that_says_where_to_read_on(
    ingest: Shell, words: tuple[str, ...], complaint: str
) -> None:
    told = ingest(*words)
    assert told.code == ExitCode.USAGE
    assert complaint in told.complaint


def test_a_complaint_carries_no_terminal_escape_of_the_command_line(ingest: Shell) -> None:
    assert "\x1b" not in ingest("explain", "\x1b[2J.eml").err


@pytest.mark.parametrize("words", [("settings",), ("ledger",), ("check",), ("explain", "."), ("serve",)], ids=" ".join)
def test_wrong_settings_are_told_all_at_once_a_line_each(ingest: Shell, words: tuple[str, ...]) -> None:
    told = ingest(*words, INGEST_LEASE="soon", INGEST_DRAIN="0")
    assert told.code == ExitCode.USAGE
    lines = [line for line in told.err.splitlines() if "LEASE" in line or "DRAIN" in line]
    assert [line.split(":")[1].strip() for line in lines] == ["INGEST_LEASE", "INGEST_DRAIN"]


@pytest.mark.parametrize(
    "words",
    [("ledger",), ("messages", "list"), ("messages", "show", "Q"), ("threads", "list"), ("messages", "retry", "Q")],
    ids=" ".join,
)
def test_without_a_database_the_line_says_how_to_make_one(ingest: Shell, words: tuple[str, ...]) -> None:
    told = ingest(*words)
    assert told.code == ExitCode.UNAVAILABLE
    assert "ingest migrate" in told.complaint


def test_a_database_that_is_none_is_one_line(ingest: Shell, tmp_path: object) -> None:
    with open(f"{tmp_path}/ingest.db", "wb") as file:
        file.write(b"this is no database, whatever its name says" * 100)
    told = ingest("ledger")
    assert told.code == ExitCode.UNAVAILABLE
    assert "no SQLite database" in told.complaint


def test_output_that_nobody_reads_ends_the_command_without_a_traceback() -> None:
    command = f"{sys.executable} -m ingest settings | true"
    ended = subprocess.run(["/bin/sh", "-c", command], cwd=ROOT, env={}, capture_output=True, text=True, check=False)
    assert ended.stderr == ""


# Settings


def test_settings_are_printed_with_secrets_hidden(ingest: Shell) -> None:
    told = ingest("settings", "--json", RAVENNA_API_TOKEN="s3cret", INGEST_DOMAINS="a.example b.example")
    values = {row["name"]: row for row in map(json.loads, told.out.splitlines())}
    assert values["RAVENNA_API_TOKEN"]["value"] == "(set)"
    assert values["INGEST_DOMAINS"]["value"] == "a.example, b.example"
    assert values["INGEST_LEASE"]["unit"] == "seconds"
    assert "s3cret" not in ingest("settings", RAVENNA_API_TOKEN="s3cret").out


def test_a_variable_that_is_no_setting_is_named(ingest: Shell) -> None:
    told = ingest("settings", INGEST_DOMAIN="a.example")
    assert told.code == 0
    assert "did you mean INGEST_DOMAINS?" in told.complaint


def test_the_readme_has_the_table_of_settings_that_the_program_prints(ingest: Shell) -> None:
    assert ingest("settings", "--markdown").out == markdown_table()
    assert markdown_table() in (ROOT / "README.md").read_text("utf-8"), "run .venv/bin/python tools/readme-settings"


# Signed addresses


def test_an_address_is_signed_for_its_ticket(ingest: Shell) -> None:
    told = ingest("address", "cm7y0q4kt", "--json", INGEST_SIGNING_KEY=KEY, INGEST_DOMAINS="a.example,b.example")
    signed = json.loads(told.out)
    assert re.fullmatch(r"reply\+cm7y0q4kt\.[a-z2-7]{13}@a\.example", signed["reply_to"])
    assert re.fullmatch(r"<ticket\.cm7y0q4kt\.[0-9a-f]{16}\.[a-z2-7]{13}@a\.example>", signed["message_id"])


def test_an_address_is_signed_for_one_person_and_with_a_date(ingest: Shell) -> None:
    words = ("address", "cm7y0q4kt", "--json", "--for", "alice@customer.example", "--dated")
    signed = json.loads(ingest(*words, INGEST_SIGNING_KEY=KEY, INGEST_DOMAINS="a.example").out)
    assert re.fullmatch(r"reply\+cm7y0q4kt\.[a-z2-7]{21}@a\.example", signed["reply_to"])


@pytest.mark.parametrize("words", [("cm7y0q4kt", "--for", "a b@c>"), ("a b@c>",), ("cm7y0q4kt", "--for", "a@b, c@d")])
def test_what_is_no_address_is_refused_with_a_sentence(ingest: Shell, words: tuple[str, ...]) -> None:
    told = ingest("address", *words, INGEST_SIGNING_KEY=KEY, INGEST_DOMAINS="a.example")
    assert told.code == ExitCode.USAGE
    assert repr(words[-1]) in told.complaint


@pytest.mark.parametrize("weak", ["secret", "a" * 64])
def test_a_weak_key_is_refused_with_advice_how_to_make_one(ingest: Shell, weak: str) -> None:
    told = ingest("address", "cm7y0q4kt", INGEST_SIGNING_KEY=weak, INGEST_DOMAINS="a.example")
    assert told.code != ExitCode.OK
    assert "INGEST_SIGNING_KEY: the key is too weak" in told.complaint
    assert "openssl rand -hex 32" in told.complaint
    assert weak not in told.complaint


@pytest.mark.parametrize(
    ("words", "settings", "complaint"),
    [
        ((), {"INGEST_DOMAINS": "a.example"}, "INGEST_SIGNING_KEY is not set"),
        ((), {"INGEST_SIGNING_KEY": KEY}, "INGEST_DOMAINS is not set"),
        (("--domain", "c.example"), {"INGEST_SIGNING_KEY": KEY, "INGEST_DOMAINS": "a.example"}, "not one of"),
    ],
)
def test_an_address_needs_a_key_and_a_domain_of_ours(
    ingest: Shell, words: tuple[str, ...], settings: dict[str, str], complaint: str
) -> None:
    told = ingest("address", "cm7y0q4kt", *words, **settings)
    assert told.code == ExitCode.USAGE
    assert complaint in told.complaint


# Mailboxes


def test_an_account_that_is_not_in_the_settings_is_told(ingest: Shell) -> None:
    told = ingest("imap", "login", "support")
    assert told.code == ExitCode.NOT_FOUND
    assert "there is no account 'support'" in told.complaint


def test_an_account_with_a_password_needs_no_token(ingest: Shell, tmp_path: object) -> None:
    file = f"{tmp_path}/ingest.toml"
    with open(file, "w", encoding="utf-8") as settings:
        settings.write('[[imap]]\nname = "support"\nhost = "imap.example"\nuser = "a@b.example"\npassword = "x"\n')
    told = ingest("imap", "login", "support", INGEST_CONFIG=file)
    assert told.code == ExitCode.USAGE
    assert "logs in with a password" in told.complaint
