"""What was learned of the API (table ``api_profile``), so that a restarted worker still recognises its own posts."""

from dataclasses import asdict

from ingest.model.api_profile import ApiProfile
from ingest.store import Database, Transaction

_SELECT = "SELECT name, value FROM api_profile"
_UPSERT = """
INSERT INTO api_profile (name, value, learned_at) VALUES (:name, :value, :now)
ON CONFLICT (name) DO UPDATE SET value = excluded.value, learned_at = excluded.learned_at
"""


class ApiProfiles:
    """The profile in ``database``. Methods raise ``StoreUnavailable`` if nothing was read or written."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> ApiProfile:
        """Return what is known; an empty profile where nothing has been learned."""

        def work(tx: Transaction) -> ApiProfile:
            known: dict[str, str] = dict(tx.execute(_SELECT))
            offset = known.get("clock_offset_seconds", "")
            return ApiProfile(
                posts_as=known.get("posts_as", ""),
                source=known.get("source", ""),
                clock_offset_seconds=float(offset) if offset else None,
            )

        return await self._database.read(work)

    async def save(self, profile: ApiProfile, *, now: float = 0.0) -> None:
        """Keep a profile in place of the one before. ``now`` is a Unix time, for a person who looks."""

        def work(tx: Transaction) -> None:
            for name, value in asdict(profile).items():
                tx.execute(_UPSERT, {"name": name, "value": "" if value is None else str(value), "now": now})

        await self._database.write(work)
