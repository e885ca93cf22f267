"""How much mail may be in memory at the same time, over all mailboxes together."""

import asyncio


class Budget:
    """Octets to share. A mail larger than all of it gets all of it."""

    def __init__(self, octets: int) -> None:
        self._octets = octets
        self._free = octets
        self._changed = asyncio.Condition()

    async def take(self, octets: int) -> int:
        """Wait until ``octets`` are free and take them; give the returned number back."""
        granted = min(octets, self._octets)
        async with self._changed:
            await self._changed.wait_for(lambda: self._free >= granted)
            self._free -= granted
        return granted

    async def give_back(self, granted: int) -> None:
        """Let others have them."""
        async with self._changed:
            self._free += granted
            self._changed.notify_all()
