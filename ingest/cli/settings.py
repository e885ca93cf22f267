"""``ingest settings``: every setting, what it means, its default and what it is now."""

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType, UnionType
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from ingest.cli import output
from ingest.config.settings import Settings, load, unknown_names
from ingest.config.types import ComputedDefault, UnitOfMeasure

_TYPES = MappingProxyType(
    {
        bool: "true or false",
        int: "whole number",
        float: "number",
        str: "text",
        tuple: "list",
        dict: "table",
        Path: "path",
        SecretStr: "secret",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting in words, as the README has it."""

    name: str
    type: str
    unit: str
    default: str
    meaning: str
    field: str


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("settings")(settings)


def settings(
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line and setting.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="The table of the README: without values.")] = False,
) -> None:
    """Print every setting and what it means.

    With what it is now (secrets hidden), its unit, and its default. Set one in the environment under its name, or in
    the TOML file that INGEST_CONFIG names. A list is written with commas. The secrets RAVENNA_API_TOKEN,
    INGEST_SIGNING_KEY and INGEST_SIGNING_KEYS_OLD can come from files: RAVENNA_API_TOKEN_FILE names one. Mailboxes to
    read are tables [[imap]] of the TOML file; [decision] in it replaces the decision table.
    """
    if markdown:
        typer.echo(markdown_table(), nl=False)
        return
    current = load(os.environ)
    values = {setting.field: _shown(getattr(current, setting.field)) for setting in describe()}
    if json:
        for setting in describe():
            output.emit(asdict(setting) | {"value": values[setting.field]})
    else:
        rows = [(s.name, values[s.field], s.unit, s.default, s.meaning) for s in describe()]
        output.table(("setting", "now", "unit", "default", "meaning"), rows)
    for line in unknown_names(os.environ):
        output.note(f"ingest: {line}")


def describe() -> Iterator[Setting]:
    """Yield every setting, in the order of the class ``Settings``."""
    for field, info in Settings.model_fields.items():
        unit, computed = _marks(info)
        yield Setting(
            name=str(info.alias),
            type=_type(info.annotation),
            unit=unit,
            default=computed or _shown(info.default),
            meaning=" ".join(str(info.description).split()),
            field=field,
        )


def markdown_table() -> str:
    """Return the table of settings in the README."""
    lines = ["| setting | type | unit | default | meaning |", "| --- | --- | --- | --- | --- |"]
    lines += [
        f"| `{s.name}` | {s.type} | {s.unit} | {f'`{s.default}`' if s.default else 'none'} | {s.meaning} |"
        for s in describe()
    ]
    return "\n".join(lines) + "\n"


def _marks(info: FieldInfo) -> tuple[str, str]:
    """Return the unit, and the description of a default that depends on the machine; each is empty if there is none."""
    units = (mark.name for mark in info.metadata if isinstance(mark, UnitOfMeasure))
    computed = (mark.text for mark in info.metadata if isinstance(mark, ComputedDefault))
    return next(units, ""), next(computed, "")


def _type(annotation: Any) -> str:
    if isinstance(annotation, UnionType):
        return _type(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        return " or ".join(get_args(annotation))
    return _TYPES[get_origin(annotation) or annotation]


def _shown(value: Any) -> str:
    """Return a value as it is written in the environment; of a secret only that it is set."""
    if value is None or value in ((), {}):
        return ""
    if isinstance(value, dict):
        return "(set)"
    if isinstance(value, SecretStr):
        return "(set)"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(getattr(item, "name", str(item)) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
