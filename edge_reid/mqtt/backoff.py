"""How long to wait before an attempt is made again."""

from __future__ import annotations

import random

RETRY_S = (0.5, 30.0)
"""Least and most seconds between two attempts to connect."""
_MOST_DOUBLINGS = 16


class Backoff:
    """Pauses that double with every failure, from `least_s` up to `most_s`."""

    def __init__(self, least_s: float, most_s: float) -> None:
        self._least_s = least_s
        self._most_s = most_s
        self._failures = 0

    def pause_s(self, *, lasted_s: float = 0.0) -> float:
        """Seconds to wait after one more failure.

        Args:
            lasted_s: how long it had gone well until then; longer than the longest pause counts as
                well again.
        """
        if lasted_s > self._most_s:
            self.reset()
        doublings = min(self._failures, _MOST_DOUBLINGS)
        self._failures += 1
        return jittered(min(self._most_s, self._least_s * 2.0**doublings))

    def reset(self) -> None:
        """Begin with the shortest pause again."""
        self._failures = 0


def jittered(pause_s: float) -> float:
    """Half of it to all of it, by chance: a fleet does not come back all at once."""
    return pause_s * random.uniform(0.5, 1)  # noqa: S311 - not a secret
