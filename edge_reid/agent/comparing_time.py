"""How long a look may find out who is who, so that what it brings is committed in time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median

_SHARE = 0.5
"""Of what is left of the promised latency once the detector is done. The rest is for the crops that
decisions need, and the commit."""
_KEPT = 9
"""Embeddings whose median is taken for what the next one takes."""


class ComparingTime:
    """Of the looks at one camera.

    >>> now_s = [10.0]
    >>> time = ComparingTime(lambda: now_s[0])
    >>> has_time = time.until_due(10.5)
    >>> while has_time():
    ...     with time.taken():
    ...         now_s[0] += 0.1
    >>> round(now_s[0], 3)
    10.2

    Args:
        clock: Unix seconds now, as frames have them.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._took_s: deque[float] = deque(maxlen=_KEPT)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Measure an embedding: the body of a with statement."""
        began_s = self._clock()
        yield
        self._took_s.append(self._clock() - began_s)

    def until_due(self, due_utc_s: float) -> Callable[[], bool]:
        """Begin to find out who is who, in a look that is to be committed by then.

        Returns:
            What says, whenever it is asked, whether there is time for another embedding.
        """
        now_s = self._clock()
        until_s = now_s + _SHARE * (due_utc_s - now_s)
        return lambda: self._clock() + self._typical_s <= until_s

    @property
    def _typical_s(self) -> float:
        return median(self._took_s) if self._took_s else 0.0
