"""Hours of the week, as the clock on the wall of this device shows them.

A window is `mon-fri 07:00-19:00`: days, and the time from which and to which. One that ends earlier
than it begins goes on past midnight, into the day after. The wall clock decides alone: an hour that
a change to summer time leaves out is in no window, and one that comes twice is in it twice.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_MIN = 24 * 60
_WINDOW = re.compile(r"(?P<days>\S+) +(?P<begin>\d\d:\d\d) *- *(?P<end>\d\d:\d\d)")
_LOOK_AHEAD_MIN = 8 * _DAY_MIN
"""What has not changed after a week and a day never does."""


@dataclass(frozen=True, slots=True)
class HoursWindow:
    """Some hours on some days."""

    days: frozenset[int]
    """On which it begins; 0 is Monday."""
    begin_min: int
    """Since midnight, as the next."""
    end_min: int
    """Not in it any more; on the next day where it is before `begin_min`."""

    def contains(self, weekday: int, minute: int) -> bool:
        """Whether a moment of a week lies in it."""
        if self.begin_min < self.end_min:
            return weekday in self.days and self.begin_min <= minute < self.end_min
        is_evening = weekday in self.days and minute >= self.begin_min
        is_morning = (weekday - 1) % 7 in self.days and minute < self.end_min
        return is_evening or is_morning


@dataclass(frozen=True, slots=True)
class ActiveHours:
    """Windows that are joined."""

    windows: tuple[HoursWindow, ...]

    @classmethod
    def parse(cls, lines: Iterable[str]) -> ActiveHours:
        """Raises ValueError: a line is no window."""
        return cls(tuple(map(hours_window, lines)))

    def contain(self, utc_s: float) -> bool:
        """Whether a moment, in Unix seconds, lies in one of them."""
        local = time.localtime(utc_s)
        minute = local.tm_hour * 60 + local.tm_min
        return any(window.contains(local.tm_wday, minute) for window in self.windows)

    def next_change(self, utc_s: float) -> float | None:
        """When `contain` first says something else than at this moment, in Unix seconds.

        None: never. It asks minute after minute, as clocks are changed at whole ones: some
        milliseconds for a day.
        """
        now = self.contain(utc_s)
        minutes = range(int(utc_s // 60) + 1, int(utc_s // 60) + _LOOK_AHEAD_MIN)
        found = (minute * 60.0 for minute in minutes if self.contain(minute * 60.0) != now)
        return next(found, None)


def hours_window(line: str) -> HoursWindow:
    """`mon-fri 07:00-19:00` as a window.

    >>> hours_window("fri,sat 22:00-06:00") == HoursWindow(frozenset({4, 5}), 1320, 360)
    True

    Raises:
        ValueError: it is none.
    """
    parts = _WINDOW.fullmatch(line.strip().lower())
    if parts is None:
        raise ValueError("should look like mon-fri 07:00-19:00, or sat,sun 22:00-06:00")
    days = [_day_range(text) for text in parts["days"].split(",")]
    begin_min, end_min = (_minutes(parts[name]) for name in ("begin", "end"))
    if begin_min in {end_min, _DAY_MIN}:
        raise ValueError("should last a while; a whole day is 00:00-24:00")
    return HoursWindow(frozenset().union(*days), begin_min, end_min)


def _day_range(text: str) -> frozenset[int]:
    """`fri-mon` goes on over Sunday."""
    first, dash, last = text.partition("-")
    if first not in _DAYS or (dash and last not in _DAYS):
        raise ValueError(f"should have days of {', '.join(_DAYS)}, got {text}")
    begin, end = _DAYS.index(first), _DAYS.index(last or first)
    return frozenset((begin + day) % 7 for day in range((end - begin) % 7 + 1))


def _minutes(text: str) -> int:
    hour, minute = map(int, text.split(":"))
    total = hour * 60 + minute
    if minute >= 60 or total > _DAY_MIN:  # noqa: PLR2004 - of an hour
        raise ValueError(f"should have times from 00:00 to 24:00, got {text}")
    return total
