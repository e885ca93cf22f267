"""Settings: where they come from, how they are checked, and what is said about a wrong one."""

from pathlib import Path

import pytest

from ingest.config.settings import NAMES, REQUIRED_TO_SERVE, ConfigError, Settings, load, unknown_names
from ingest.config.types import split_host_port, subject_tag_pattern

KEY = "0123456789abcdef0123456789abcdef"


def problems(environment: dict[str, str], **options: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(environment, **options)  # type: ignore[arg-type]  # the tests pass what a user might
    return str(caught.value).splitlines()


def test_every_setting_has_a_sentence() -> None:
    for name, field in Settings.model_fields.items():
        assert (field.description or "").endswith("."), name


def test_the_names_of_the_api_settings_are_those_of_the_api_and_all_others_start_with_ingest() -> None:
    assert {name for name in NAMES if not name.startswith("INGEST_")} == {"RAVENNA_API_URL", "RAVENNA_API_TOKEN"}


def test_without_any_setting_the_documented_defaults_hold() -> None:
    settings = load({})
    assert settings.api_url == "https://core.api.ravennahq.com/api"
    assert settings.database_url == "sqlite:///var/ingest.db"
    assert settings.smtp_listen == ("127.0.0.1:8025",)
    assert settings.http_listen == "127.0.0.1:8080"
    assert settings.api_token is None


@pytest.mark.parametrize("written", ["a.example, B.example", "a.example B.example", "a.example,B.example"])
def test_a_list_is_written_with_commas_or_spaces(written: str) -> None:
    assert load({"INGEST_DOMAINS": written}).domains == ("a.example", "b.example")


@pytest.mark.parametrize("written", ["b\u00fccher.example", "xn--bcher-kva.example", "B\u00dcCHER.example"])
def test_an_international_domain_of_ours_is_known_in_both_spellings(written: str) -> None:
    assert load({"INGEST_DOMAINS": written}).domains == ("xn--bcher-kva.example", "b\u00fccher.example")


def test_a_name_with_an_underscore_stays_as_it_is_written() -> None:
    assert load({"INGEST_DOMAINS": "mail_1.example"}).domains == ("mail_1.example",)


def test_a_file_has_the_same_names_and_the_environment_goes_above_it(tmp_path: Path) -> None:
    file = tmp_path / "ingest.toml"
    file.write_text('INGEST_DOMAINS = ["a.example"]\nINGEST_LEASE = 60\nINGEST_DRAIN = 3\n')
    settings = load({"INGEST_CONFIG": str(file), "INGEST_LEASE": "90"})
    assert (settings.domains, settings.lease, settings.drain) == (("a.example",), 90.0, 3.0)


def test_defaults_go_below_the_file_and_overrides_above_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "ingest.toml"
    file.write_text("INGEST_LEASE = 60\n")
    settings = load(
        {"INGEST_CONFIG": str(file), "INGEST_DRAIN": "3"},
        defaults={"INGEST_LEASE": 5, "INGEST_RETRY_CAP": 7},
        INGEST_DRAIN=4,
    )
    assert (settings.lease, settings.retry_cap, settings.drain) == (60.0, 7.0, 4.0)


def test_an_empty_variable_counts_as_not_set() -> None:
    assert load({"INGEST_LEASE": ""}).lease == 300.0


def test_the_word_none_is_an_empty_list_and_no_listener() -> None:
    settings = load({"INGEST_SMTP_LISTEN": "none", "INGEST_HTTP_LISTEN": "None"})
    assert (settings.smtp_listen, settings.http_listen) == ((), "")


def test_a_list_is_emptied_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "ingest.toml"
    file.write_text("INGEST_SMTP_LISTEN = []\n")
    assert load({"INGEST_CONFIG": str(file)}).smtp_listen == ()


def test_a_secret_comes_from_a_file_without_its_last_line_end(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("s3cret\n")
    token = load({"RAVENNA_API_TOKEN_FILE": str(file)}).api_token
    assert token is not None
    assert token.get_secret_value() == "s3cret"


def test_a_secret_is_never_printed() -> None:
    settings = load({"RAVENNA_API_TOKEN": "s3cret", "INGEST_SIGNING_KEY": KEY})
    assert "s3cret" not in f"{settings!r}{settings}{settings.model_dump()}{settings.model_dump_json()}"
    assert KEY not in repr(settings)


def test_all_problems_are_told_at_once_and_each_names_its_setting() -> None:
    told = problems({"INGEST_LEASE": "soon", "INGEST_SMTP_LISTEN": "8025", "INGEST_TLS_KEY": "key.pem"})
    assert len(told) == 2
    assert told[0].startswith("INGEST_SMTP_LISTEN: '8025' is no listener: write it as host:port")
    assert told[1].startswith("INGEST_LEASE: ")


def test_what_is_required_is_told_together_with_the_other_problems() -> None:
    told = problems({"INGEST_LEASE": "0"}, required=REQUIRED_TO_SERVE)
    assert [line.split()[0].rstrip(":") for line in told] == ["RAVENNA_API_TOKEN", "INGEST_DOMAINS", "INGEST_LEASE"]
    assert "ingest serve --sandbox" in told[0]


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("RAVENNA_API_URL", "core.api.example", "write it as https://host/api"),
        ("INGEST_DATABASE_URL", "mysql://db", "write it as sqlite:///PATH"),
        ("INGEST_SMTP_LISTEN", "0.0.0.0:99999", "write it as host:port"),
        ("INGEST_HTTP_LISTEN", "8080", "write it as host:port"),
        ("INGEST_SMTP_RELAYS", "10.0.0.1/8", "host bits"),
        ("INGEST_MAX_MESSAGE_BYTES", "10", "greater than or equal to 65536"),
        ("INGEST_DRAIN", "inf", "finite"),
        ("INGEST_PARSE_CHILDREN", "65", "less than or equal to 64"),
        ("INGEST_LOG_LEVEL", "loud", "'debug', 'info', 'warning' or 'error'"),
    ],
)
def test_a_wrong_value_is_told_with_what_is_right(name: str, value: str, advice: str) -> None:
    (line,) = problems({name: value})
    assert line.startswith(f"{name}: ")
    assert advice in line


def test_certificate_and_key_go_together() -> None:
    assert problems({"INGEST_TLS_KEY": "key.pem"}) == ["INGEST_TLS_CERTIFICATE and INGEST_TLS_KEY: set both or neither"]


def test_a_name_in_the_file_that_is_no_setting_is_a_problem_and_the_near_one_is_named(tmp_path: Path) -> None:
    file = tmp_path / "ingest.toml"
    file.write_text("INGEST_DOMAIN = 'a.example'\n")
    assert problems({"INGEST_CONFIG": str(file)}) == [
        "INGEST_DOMAIN: there is no such setting; did you mean INGEST_DOMAINS?"
    ]


def test_a_variable_that_is_no_setting_is_told_but_is_no_problem() -> None:
    environment = {"INGEST_DOMAIN": "a", "INGEST_CONFIG": "", "RAVENNA_API_TOKEN_FILE": "", "HOME": "/"}
    assert load({"INGEST_DOMAIN": "a"}).domains == ()
    assert unknown_names(environment) == ("INGEST_DOMAIN: there is no such setting; did you mean INGEST_DOMAINS?",)


@pytest.mark.parametrize("content", [b"= 3", b"\xff\xfe"])
def test_a_file_that_cannot_be_understood_is_told_by_name(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "ingest.toml"
    file.write_bytes(content)
    assert problems({"INGEST_CONFIG": str(file)})[0].startswith(f"INGEST_CONFIG: cannot read {file}: ")


def test_a_file_that_is_not_there_is_told_by_name(tmp_path: Path) -> None:
    told = problems({"INGEST_CONFIG": str(tmp_path / "a"), "RAVENNA_API_TOKEN_FILE": str(tmp_path / "b")})
    assert told == [
        f"INGEST_CONFIG: cannot read {tmp_path / 'a'}: No such file or directory",
        f"RAVENNA_API_TOKEN_FILE: cannot read {tmp_path / 'b'}: No such file or directory",
    ]


@pytest.mark.parametrize(
    ("address", "pair"), [("127.0.0.1:8025", ("127.0.0.1", 8025)), ("[::1]:0", ("::1", 0)), (":25", ("", 25))]
)
def test_a_listener_is_a_host_and_a_port(address: str, pair: tuple[str, int]) -> None:
    assert split_host_port(address) == pair


@pytest.mark.parametrize("address", ["", "8025", "host:", "host:25x", "host:-1", "host:²"])
def test_what_is_no_listener_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="write it as host:port"):
        split_host_port(address)


def test_mailboxes_are_tables_of_the_file_and_a_wrong_one_is_told_by_its_place(tmp_path: Path) -> None:
    file = tmp_path / "ingest.toml"
    file.write_text('[[imap]]\nname = "support"\nhost = "imap.example"\nuser = "a@b.example"\npassword = "x"\n')
    (account,) = load({"INGEST_CONFIG": str(file)}).imap
    assert account.host == "imap.example"
    file.write_text('[[imap]]\nname = "support"\nhost = "imap.example"\nuser = "a@b.example"\npasswd = "x"\n')
    assert problems({"INGEST_CONFIG": str(file)}) == ["imap.0.passwd: there is no such setting"]


# Signing


def test_without_a_signing_key_there_are_no_keys() -> None:
    assert load({"INGEST_SIGNING_KEYS_OLD": KEY}).signing_keys is None


def test_the_new_key_signs_and_the_old_ones_are_checked_too() -> None:
    settings = load(
        {"INGEST_SIGNING_KEY": KEY, "INGEST_SIGNING_KEYS_OLD": "first,\n second", "INGEST_SIGNATURE_DAYS": "90"}
    )
    assert settings.signing_keys is not None
    assert settings.signing_keys.keys == (KEY.encode(), b"first", b"second")
    assert settings.signing_keys.max_age_days == 90


@pytest.mark.parametrize("key", ["k" * 31, "abcdefg" * 20])
def test_a_weak_signing_key_is_refused_and_not_printed(key: str) -> None:
    [problem] = problems({"INGEST_SIGNING_KEY": key})
    assert problem.startswith("INGEST_SIGNING_KEY: the key is too weak")
    assert problem.endswith("make one with: openssl rand -hex 32")
    assert key not in problem


# The form of a tag


@pytest.mark.parametrize(
    ("example", "subject", "code"),
    [
        ("[TAI-42]", "Re: [OPS-7] Printer", "OPS-7"),
        ("(TAI-42)", "Re: (OPS-7) Printer", "OPS-7"),
        ("Ticket #TAI-42:", "Re: Ticket  #OPS-7: Printer", "OPS-7"),
        ("TAI-42", "OPS-7 Printer", "OPS-7"),
    ],
)
def test_a_tag_is_written_like_its_example(example: str, subject: str, code: str) -> None:
    found = subject_tag_pattern(example).search(subject)
    assert found is not None
    assert found[1] == code


@pytest.mark.parametrize("example", ["[42]", "[TAI-42] [TAI-43]", "", "[]"])
def test_an_example_without_exactly_one_code_is_refused(example: str) -> None:
    with pytest.raises(ValueError, match="write it with one code in it"):
        subject_tag_pattern(example)


def test_a_code_that_is_part_of_a_longer_one_is_no_tag() -> None:
    assert subject_tag_pattern("TAI-42").search("XTAI-421x") is None


@pytest.mark.parametrize(
    ("host", "more", "trusted"),
    [
        ("imap.gmail.com", "", ("google",)),
        ("Outlook.Office365.com", "", ("microsoft",)),
        ("imap.example", "", ()),
        ("imap.gmail.com", "authserv_ids = []", ()),
        ("imap.example", 'authserv_ids = ["MX.example", "*.mx.example"]', ("mx.example", "*.mx.example")),
    ],
)
def test_an_account_knows_whose_results_to_believe(
    tmp_path: Path, host: str, more: str, trusted: tuple[str, ...]
) -> None:
    file = tmp_path / "ingest.toml"
    file.write_text(f'[[imap]]\nname = "a"\nhost = "{host}"\nuser = "a@b.example"\npassword = "x"\n{more}\n')
    (account,) = load({"INGEST_CONFIG": str(file)}).imap
    assert account.trusted_servers == trusted


@pytest.mark.parametrize("value", ["*", "*.", "mx.ours.example;", "a@b.example", "mx..example"])
def test_an_authserv_id_that_would_believe_anybody_or_nobody_is_refused(value: str) -> None:
    (problem,) = problems({"INGEST_AUTHSERV_IDS": value})
    assert "is no authserv-id" in problem


# Secrets that are compared


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("INGEST_WEBHOOK_SECRET", "short"),
        ("INGEST_SENT_ADDRESS", "copies@desk.example"),
        ("INGEST_SENT_ADDRESS", "0123456789abcdef"),
    ],
)
def test_a_secret_that_can_be_guessed_is_refused_and_not_printed(name: str, value: str) -> None:
    [problem] = problems({name: value})
    assert problem.startswith(f"{name}: ")
    assert value not in problem
