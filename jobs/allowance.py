"""Allowance: how often a look past the ceiling may be taken, for what the refusals and pauses that come of it cost. Pure."""

from __future__ import annotations

from typing import Final

PAUSED_SHARE: Final = 0.0125
"""Share of the time that pauses may take."""
REFUSED_SHARE: Final = 0.0025
"""Share of the calls that may be refused."""
SHORTEST: Final = 20.0
"""Shortest time between two looks, in seconds."""
LONGEST: Final = 85.0
"""Longest time between two looks, in seconds: what a grown quota may stay unseen for."""
PATIENCE: Final = 2.0
"""Refusals whose allowance is waited for however long it takes: at a few calls a minute each one is a large share."""


class Allowance:
    """Refused calls and paused seconds that are not yet earned back."""

    def __init__(self) -> None:
        self._refused = 0.0
        self._paused = 0.0

    def spend(self, *, refused: int, paused: float, rate: float, passed: float) -> float:
        """Return the seconds until the next look, after one that cost so much, `passed` seconds after the one before it."""
        self._refused = max(self._refused - passed * rate * REFUSED_SHARE, 0.0) + refused
        self._paused = max(self._paused - passed * PAUSED_SHARE, 0.0) + paused
        longest = max(LONGEST, PATIENCE / (rate * REFUSED_SHARE))
        self._refused = min(self._refused, longest * rate * REFUSED_SHARE)
        self._paused = min(self._paused, longest * PAUSED_SHARE)
        return max(SHORTEST, self._refused / (rate * REFUSED_SHARE), self._paused / PAUSED_SHARE)
