"""Whether the pictures of a live stream can be believed: by their content and by their clock.

That a decoder gave a picture says little: it may be the one of before, half of it may be made up,
and it may be seconds old. All here is pure: pictures and times in, a judgement out.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

_DIGEST_ROWS = 4
"""Every fourth row is looked at: a digit of a camera's own clock is taller."""
_REMEMBERS_S = 4.0
"""A picture that comes again within so long is no new one; a clip that is shown again and again to
try things out is longer."""
_LIVELY = 8.0
"""So many new pictures make a camera lively, and of those to come, ..."""
_NEW_SHARE = 0.1
"""... so many must be new."""
_BLACK_LEVEL = 16
_BLACK_SHARE = 0.999
"""Of the pixels: a lens cap or a dead sensor; a street at night has its lamps."""
_LEAP_S = 60.0
"""Of the stream's own clock against ours: then it was set, and says nothing of lateness."""
_KEY = "I"


def digest(picture: Any) -> int:
    """Of uint8 (H, W, 3): equal for equal pictures, and in all likelihood only for them."""
    rows = np.ascontiguousarray(picture[::_DIGEST_ROWS])
    return zlib.crc32(rows.data, picture.shape[0] << 16 ^ picture.shape[1])


class StillPicture:
    """Whether a camera sends one and the same picture, bit for bit, and since when.

    The sensor of a camera that lives has some noise in it, and most have a clock in their picture.
    One that hangs may go on encoding what it has: then its pictures differ after each key picture,
    and come again with the next.

    >>> still = StillPicture()
    >>> [still.is_new(each, now_s) for each, now_s in [(1, 0.0), (1, 2.0), (7, 3.0), (1, 3.5)]]
    [True, False, True, False]
    """

    def __init__(self) -> None:
        self._seen_s: dict[int, float] = {}
        self._liveliness = _LIVELY
        self._since_s: float | None = None

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


class Lateness:
    """How many seconds ago a picture was taken that a slow decoder gives only now.

    A stream tells times, but not of which clock. So what counts is how far its time has fallen
    behind ours since it was last known to be up to date: nothing waited to be decoded.

    >>> lateness = Lateness()
    >>> lateness.of(100.0, 5.0, is_waiting=False), lateness.of(100.5, 7.0, is_waiting=True)
    (0.0, 1.5)
    """

    def __init__(self) -> None:
        self._offset_s: float | None = None

    def of(self, stream_s: float, now_s: float, *, is_waiting: bool) -> float:
        """Take in a picture: its time in the stream, ours now, and whether more waits behind it."""
        offset_s = now_s - stream_s
        is_leap = self._offset_s is not None and abs(offset_s - self._offset_s) > _LEAP_S
        if self._offset_s is None or is_leap or not is_waiting or offset_s < self._offset_s:
            self._offset_s = offset_s
        return offset_s - self._offset_s


def is_black(picture: Any) -> bool:
    """Whether there is nothing to see in uint8 (H, W, 3); of every fourth pixel each way."""
    some = picture[::_DIGEST_ROWS, ::_DIGEST_ROWS]
    return bool(np.count_nonzero(some < _BLACK_LEVEL) >= _BLACK_SHARE * some.size)
