"""How many crops a look may embed, so that what it brings is committed in time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median

_COMPARING_SHARE = 0.5
"""Of what is left of the promised latency once the detector is done, for crops that only tell who
is who. The rest is for those that decisions need, and the commit."""
_DECIDING_SHARE = 0.8
"""Of what is left then, for those. The rest is for the commit."""
_KEPT = 9
"""Embeddings whose median is taken for what the next one takes."""


class EmbeddingTime:
    """Of the looks at one camera.

    >>> now_s = [10.0]
    >>> time = EmbeddingTime(lambda: now_s[0])
    >>> has_time = time.until_due(10.5)
    >>> while has_time():
    ...     with time.taken():
    ...         now_s[0] += 0.1
    >>> round(now_s[0], 3)
    10.2
    >>> time.fitting(10.5)
    2

    Args:
        clock: Unix seconds now, as frames have them.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._took_s: deque[float] = deque(maxlen=_KEPT)

    @contextmanager
    def taken(self, crops: int = 1) -> Iterator[None]:
        """Measure the embedding of so many: the body of a with statement."""
        began_s = self._clock()
        yield
        self._took_s.append((self._clock() - began_s) / crops)

    def until_due(self, due_utc_s: float) -> Callable[[], bool]:
        """Begin to find out who is who, in a look that is to be committed by then.

        Returns:
            What says, whenever it is asked, whether there is time for another embedding.
        """
        now_s = self._clock()
        until_s = now_s + _COMPARING_SHARE * (due_utc_s - now_s)
        return lambda: self._clock() + self._typical_s <= until_s

    def fitting(self, due_utc_s: float) -> int | None:
        """How many crops for decisions there is time for in a look that is to be committed by then.

        One while nobody knows how long that takes. Never none, or nobody would ever be decided
        where a look is always late. None: as many as there are, as it takes no measurable time.
        """
        if not self._took_s:
            return 1
        left_s = _DECIDING_SHARE * (due_utc_s - self._clock())
        return max(1, int(left_s / self._typical_s)) if self._typical_s > 0 else None

    @property
    def _typical_s(self) -> float:
        return median(self._took_s) if self._took_s else 0.0
