"""Settings that are read again while the worker runs."""

from collections.abc import Callable

from structlog.testing import capture_logs

from ingest.config.settings import ConfigError, Settings, load
from ingest.reload import Reloader


def settings(**changed: str) -> Settings:
    return load({"RAVENNA_API_TOKEN": "one", "INGEST_MAX_BACKLOG": "10"} | changed)


def loading(found: Settings | ConfigError) -> Callable[[], Settings]:
    def load() -> Settings:
        if isinstance(found, ConfigError):
            raise found
        return found

    return load


def test_what_changed_is_taken_over_and_told_without_its_value() -> None:
    tokens: list[object] = []
    reloader = Reloader(settings(), {("api_token",): lambda new: tokens.append(new.api_token)})
    with capture_logs() as lines:
        reloader.reload(loading(settings(RAVENNA_API_TOKEN="two-secret", INGEST_MAX_BACKLOG="20")))
    assert [getattr(token, "get_secret_value", str)() for token in tokens] == ["two-secret"]
    (line,) = lines
    assert (line["changed"], line["needs_a_restart"]) == ("RAVENNA_API_TOKEN", "INGEST_MAX_BACKLOG")
    assert "two-secret" not in str(lines)


def test_what_needs_a_restart_is_told_each_time_and_what_was_taken_over_once() -> None:
    reloader = Reloader(settings(), {("api_token",): lambda _new: None})
    new = settings(RAVENNA_API_TOKEN="two", INGEST_MAX_BACKLOG="20")
    reloader.reload(loading(new))
    with capture_logs() as lines:
        reloader.reload(loading(new))
    assert (lines[0]["changed"], lines[0]["needs_a_restart"]) == ("nothing", "INGEST_MAX_BACKLOG")


def test_settings_that_cannot_be_used_change_nothing() -> None:
    taken: list[Settings] = []
    reloader = Reloader(settings(), {("api_token",): taken.append}, always=[taken.append])
    with capture_logs() as lines:
        reloader.reload(loading(ConfigError("INGEST_LEASE: not a number")))
    assert taken == []
    assert "INGEST_LEASE: not a number" in lines[0]["problems"]
    assert "the old ones stay" in lines[0]["event"]


def test_a_setting_that_its_component_refuses_stays_and_is_tried_again() -> None:
    refusing = [True]

    def take(_new: Settings) -> None:
        if refusing:
            raise ConfigError("RAVENNA_API_TOKEN: it has characters that no HTTP field can carry")

    reloader = Reloader(settings(), {("api_token",): take})
    new = settings(RAVENNA_API_TOKEN="two")
    with capture_logs() as lines:
        reloader.reload(loading(new))
        refusing.clear()
        reloader.reload(loading(new))
    assert [line.get("changed") for line in lines] == [None, "nothing", "RAVENNA_API_TOKEN"]
