"""Whether the pictures of a live stream can be believed: by their content and by their clock.

That a decoder gave a picture says little: it may be the one of before, half of it may be made up,
and it may be seconds old. All here is pure: pictures and times in, a judgement out.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

_REMEMBERS_S = 4.0
"""A picture that comes again within so long is no new one; a clip that is shown again and again to
try things out is longer."""
_LIVELY = 8.0
"""So many new pictures make a camera lively, and of those to come, ..."""
_NEW_SHARE = 0.1
"""... so many must be new."""
_BLACK_SHARE = 0.001
"""Most pixels that a black picture has that are not: a street at night has its lamps."""
_SHADE_STEPS = 10
"""Of brightness, within which nearly all of a covered camera's pixels lie; a fog has more."""
_LEAP_S = 1.0
"""Of the stream's own clock against the arrival of pictures: then it was set."""
_DRIFT = 0.01
"""Seconds a second by which a camera's clock may go wrong; those that count pictures do."""
_KEY = "I"


@dataclass(frozen=True, slots=True)
class Stillness:
    """What is known of a picture that stands still, for whoever looks on."""

    lasts_s: float
    digests: tuple[int, ...]
    """Of the pictures that come again and again."""


def digest(rows: Sequence[memoryview]) -> int:
    """Of some rows of a picture: equal for equal ones, and in all likelihood only for them."""
    value = len(rows)
    for row in rows:
        value = zlib.crc32(row, value)
    return value


class StillPicture:
    """Whether a camera sends one and the same picture, bit for bit, and since when.

    The sensor of a camera that lives has some noise in it, and most have a clock in their picture.
    One that hangs may go on encoding what it has: then its pictures differ after each key picture,
    and come again with the next.

    Args:
        earlier: how it stood when another one looked last.
        now_s: monotonic.

    >>> still = StillPicture()
    >>> [still.is_new(each, now_s) for each, now_s in [(1, 0.0), (1, 2.0), (7, 3.0), (1, 3.5)]]
    [True, False, True, False]
    >>> StillPicture(still.stillness(3.5), now_s=9.0).is_new(7, 9.5)
    False
    """

    def __init__(self, earlier: Stillness | None = None, now_s: float = 0.0) -> None:
        self._seen_s = dict.fromkeys(earlier.digests, now_s) if earlier else {}
        self._liveliness = 0.0 if earlier else _LIVELY
        self._since_s = now_s - earlier.lasts_s if earlier else None

    def is_new(self, of_picture: int, now_s: float) -> bool:
        """Take in the digest of a picture; whether it was not seen in the last seconds."""
        is_new = now_s - self._seen_s.pop(of_picture, -_REMEMBERS_S) >= _REMEMBERS_S
        self._seen_s[of_picture] = now_s  # so it is the last one of the dictionary
        while now_s - self._seen_s[oldest := next(iter(self._seen_s))] >= _REMEMBERS_S:
            del self._seen_s[oldest]
        change = 1.0 if is_new else -_NEW_SHARE
        self._liveliness = min(max(0.0, self._liveliness + change), _LIVELY)
        if self._since_s is None or self._liveliness == _LIVELY:
            self._since_s = now_s
        return is_new

    def lasts_s(self, now_s: float) -> float:
        """How long it has been so; 0.0 while the picture lives."""
        return 0.0 if self._since_s is None else now_s - self._since_s

    def stillness(self, now_s: float) -> Stillness:
        """For another one, who looks on."""
        return Stillness(self.lasts_s(now_s), tuple(self._seen_s))


class Damage:
    """Whether a picture, or one that it was predicted from, could not be decoded whole.

    An error spoils all pictures up to the next key picture. Where a stream has none for
    `heals_s`, or the decoder does not say which they are, time heals.

    >>> damage = Damage(heals_s=10.0)
    >>> damage.spoils("P", errors=3, now_s=1.0), damage.spoils("P", errors=0, now_s=2.0)
    (True, True)
    >>> damage.spoils("I", errors=0, now_s=3.0)
    False
    """

    def __init__(self, heals_s: float) -> None:
        self._heals_s = heals_s
        self._until_s: float | None = None

    def spoils(self, kind: str, errors: int, now_s: float) -> bool:
        """Take in a picture: its kind (`I`, `P`, `B`, or `?`), and the errors of the decoder since
        the one before.
        """
        if errors:
            self._until_s = now_s + self._heals_s
        elif self._until_s is not None and (kind == _KEY or now_s >= self._until_s):
            self._until_s = None
        return self._until_s is not None


class StreamClock:
    """When a picture was taken, by the stream's own clock held against ours.

    A stream tells times, but not of which clock. The picture that came with the least delay so far
    ties the two together: every other one was taken as much after it as the stream says. A picture
    that waited, on the way or for a slow decoder, so keeps its time.

    >>> clock = StreamClock()
    >>> [clock.arrived(stream_s, now_s) for stream_s, now_s in [(100.0, 5.0), (101.0, 7.5)]]
    [0.0, 1.475]
    >>> round(clock.captured_s(101.0), 3)
    6.025
    """

    def __init__(self) -> None:
        self._offset_s: float | None = None
        self._last: tuple[float, float] = (0.0, 0.0)

    def arrived(self, stream_s: float, now_s: float, *, is_waiting: bool = False) -> float:
        """Take in the time of a picture in the stream and that of its arrival, monotonic; how late
        it is. `is_waiting`: more has come behind it, so that it is known to be late.
        """
        offset_s = now_s - stream_s
        if self._offset_s is None or self._is_leap(stream_s, now_s):
            self._offset_s = offset_s
        elif not is_waiting:
            self._offset_s += _DRIFT * (now_s - self._last[1]) * (now_s > self._last[1])
        self._offset_s = min(self._offset_s, offset_s)
        self._last = stream_s, now_s
        return round(offset_s - self._offset_s, 6)

    def captured_s(self, stream_s: float) -> float:
        """Monotonic; of a picture with this time in the stream."""
        return stream_s + (self._offset_s or 0.0)

    def _is_leap(self, stream_s: float, now_s: float) -> bool:
        step_s, waited_s = stream_s - self._last[0], now_s - self._last[1]
        return step_s < -_LEAP_S or step_s > waited_s + _LEAP_S


def is_black(some: bytes, darkest_level: int) -> bool:
    """Whether there is nothing to see in some pixels, uint8, whose black is about this level."""
    lit = some.translate(None, bytes(range(darkest_level)))
    return len(lit) <= _BLACK_SHARE * len(some)


def is_covered(some: bytes) -> bool:
    """Whether some pixels, uint8, are nearly all of one shade: something is before the lens."""
    ranked = sorted(some)
    rest = len(ranked) // 100
    return bool(ranked) and ranked[-1 - rest] - ranked[rest] < _SHADE_STEPS
