"""Reads the settings anew while the worker runs (SIGHUP), as far as they can change without a restart."""

from collections.abc import Callable, Iterable, Mapping

from ingest import log
from ingest.config.settings import ConfigError, Settings, name_of

Apply = Callable[[Settings], None]
"""Takes new values over. Raises ``ConfigError`` if it cannot use them; nothing has changed then."""

_log = log.get("settings")


class Reloader:
    """Compares the settings with those of the start, and has the components take over what they can."""

    def __init__(self, settings: Settings, apply: Mapping[Iterable[str], Apply], always: Iterable[Apply] = ()) -> None:
        """``apply`` maps fields of ``Settings`` to what takes them over while the worker runs; every other field needs
        a restart. ``always`` is called at each reload, for files whose names have not changed."""
        self._settings = settings
        self._apply = {tuple(fields): function for fields, function in apply.items()}
        self._always = tuple(always)

    def reload(self, load: Callable[[], Settings]) -> None:
        """Load the settings and take over what has changed. If they cannot be used, the old ones stay, all of them."""
        try:
            new = load()
        except ConfigError as error:
            _log.error("the settings cannot be used; the old ones stay", problems=str(error).replace("\n", "; "))
            return
        changed = {field for field in Settings.model_fields if getattr(new, field) != getattr(self._settings, field)}
        taken = self._take_over(new, changed)
        for function in self._always:
            function(new)
        self._settings = self._settings.model_copy(update={field: getattr(new, field) for field in taken})
        _log.warning(
            "the settings were read again",
            changed=_names(taken) or "nothing",
            needs_a_restart=_names(changed - taken) or "nothing",
        )

    def _take_over(self, new: Settings, changed: set[str]) -> set[str]:
        """Have each component take over its changed fields, and return those that it took."""
        taken: set[str] = set()
        for fields, function in self._apply.items():
            if changed.isdisjoint(fields):
                continue
            try:
                function(new)
            except ConfigError as error:
                _log.error("a setting cannot be used; the old one stays", problems=str(error))
            else:
                taken.update(changed.intersection(fields))
        return taken


def _names(fields: Iterable[str]) -> str:
    return ", ".join(sorted(map(name_of, fields)))
