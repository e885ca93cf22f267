"""The decision table in the form of the settings file, for tests that need another one."""

from ingest import policy
from ingest.model.trust import AuthenticationResult, EvidenceLevel, Who

TableInSettings = dict[str, dict[str, dict[str, str]]]


def table_in_settings() -> TableInSettings:
    """Return the table of the policy as ``[decision]`` of the settings file holds it."""
    return {
        who: {
            result: {level: policy.decide(who=who, authentication=result, level=level).value for level in EvidenceLevel}
            for result in AuthenticationResult
        }
        for who in Who
    }


def as_toml(table: TableInSettings) -> str:
    """Return a table as it stands in the settings file."""
    lines = ["[decision]"]
    for who, rows in table.items():
        for result, cells in rows.items():
            inside = ", ".join(f'{level} = "{treatment}"' for level, treatment in cells.items())
            lines.append(f"{who}.{result} = {{ {inside} }}")
    return "\n".join([*lines, ""])


def table_where_anybody_may_write() -> TableInSettings:
    """Return a table in which also strangers may write to a ticket whose address they guessed, for tests of what
    happens after the decision."""
    table = table_in_settings()
    table[Who.API_USER][AuthenticationResult.PROVEN][EvidenceLevel.GUESSABLE] = "post"
    table[Who.UNKNOWN][AuthenticationResult.PROVEN][EvidenceLevel.GUESSABLE] = "post-fallback"
    return table
