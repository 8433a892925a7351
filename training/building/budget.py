"""A cap on what calls cost, which no call in flight can break."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

_ROUNDING_USD = 1e-9


class CapReached(Exception):  # noqa: N818 - says what happened
    """The call might cost more than is left."""


@dataclass(slots=True)
class Budget:
    """Money in USD, used within one event loop. `cap`: None for no limit; `spent`: what was paid for the job before."""

    cap: float | None = None
    spent: float = 0.0
    _aside: list[float] = field(default_factory=list)
    _settled: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def set_aside(self, most: float | None) -> None:
        """Wait until `most` fits under the cap; raises CapReached where nothing on its way can still give money back."""
        async with self._settled:
            while self.cap is not None and self.spent + sum(self._aside) + (most or 0.0) > self.cap + _ROUNDING_USD:
                if not any(self._aside):
                    raise CapReached
                await self._settled.wait()
            self._aside.append(most or 0.0)

    async def settle(self, most: float | None, cost: float | None) -> None:
        """A call has ended: what was set aside for it comes back, less what it cost."""
        async with self._settled:
            self._aside.remove(most or 0.0)
            self.spent += cost or 0.0
            self._settled.notify_all()
