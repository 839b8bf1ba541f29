"""Hours in which a camera is watched: windows, midnight, summer time, and what is none."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_reid.agent.watch_hours import WatchHours
from edge_reid.core.active_hours import ActiveHours
from edge_reid.core.config.settings_file import load_settings
from edge_reid.core.errors import ConfigError

BERLIN = ZoneInfo("Europe/Berlin")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MONDAY = datetime(2026, 3, 2, tzinfo=BERLIN)


@pytest.fixture(scope="module", autouse=True)
def in_berlin() -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = "Europe/Berlin"
    time.tzset()
    yield
    os.environ.pop("TZ") if before is None else os.environ.update(TZ=before)
    time.tzset()


def on(day: str, clock: str) -> float:
    """A moment of the week from Monday, 2 March 2026 on, in Unix seconds."""
    hour, minute = map(int, clock.split(":"))
    moment = MONDAY + timedelta(days=DAYS.index(day), hours=hour, minutes=minute)
    return moment.timestamp()


@pytest.mark.parametrize(
    ("lines", "inside", "outside"),
    [
        (
            ["mon-fri 07:00-19:00"],
            ["mon 07:00", "wed 12:34", "fri 18:59"],
            ["mon 06:59", "fri 19:00", "sat 12:00", "sun 12:00"],
        ),
        (
            ["mon 08:00-09:00", "mon,thu 13:30-14:00"],
            ["mon 08:30", "mon 13:30", "thu 13:59"],
            ["mon 09:00", "thu 08:30", "tue 13:45"],
        ),
        (
            ["fri,sat 22:00-06:00"],
            ["fri 22:00", "sat 05:59", "sat 23:00", "sun 05:00"],
            ["fri 05:00", "fri 21:59", "sat 06:00", "sun 22:30", "mon 01:00"],
        ),
        (
            ["sun 22:00-06:00"],
            ["sun 23:00", "mon 05:59"],
            ["mon 06:00", "sun 05:00"],
        ),
        (["sat-mon 00:00-24:00"], ["sat 00:00", "mon 23:59"], ["tue 00:00", "fri 23:59"]),
        (["MON 07:00 - 08:00"], ["mon 07:30"], ["tue 07:30"]),
    ],
)
def test_a_window_is_by_the_wall_clock(
    lines: list[str], inside: list[str], outside: list[str]
) -> None:
    hours = ActiveHours.parse(lines)
    assert [text for text in inside if not hours.contain(on(*text.split()))] == []
    assert [text for text in outside if hours.contain(on(*text.split()))] == []


@pytest.mark.parametrize(
    ("lines", "at", "until"),
    [
        (["mon-fri 07:00-19:00"], "mon 05:00", "mon 07:00"),
        (["mon-fri 07:00-19:00"], "tue 19:00", "wed 07:00"),
        (["mon-thu 07:00-19:00", "sun 09:00-10:00"], "thu 20:00", "sun 09:00"),
        (["mon-fri 07:00-19:00"], "tue 08:00", "tue 19:00"),
        (["mon 08:00-12:00", "mon 12:00-14:00"], "mon 09:00", "mon 14:00"),
    ],
)
def test_when_it_changes_is_known(lines: list[str], at: str, until: str) -> None:
    assert ActiveHours.parse(lines).next_change(on(*at.split())) == on(*until.split())


def test_one_window_a_week_comes_again_after_a_week() -> None:
    hours = ActiveHours.parse(["wed 10:00-10:01"])
    assert hours.next_change(on("wed", "10:01")) == on("wed", "10:00") + 7 * 86_400


def test_what_is_always_watched_never_changes() -> None:
    assert ActiveHours.parse(["mon-sun 00:00-24:00"]).next_change(on("mon", "12:00")) is None


def berlin(month: int, day: int, clock: str, fold: int = 0) -> float:
    hour, minute = map(int, clock.split(":"))
    return datetime(2026, month, day, hour, minute, tzinfo=BERLIN, fold=fold).timestamp()


def test_the_hour_that_summer_time_leaves_out_is_in_no_window() -> None:
    """On 29 March 2026 the clock goes from 02:00 to 03:00."""
    gone = ActiveHours.parse(["sun 02:15-02:45"])
    assert gone.next_change(berlin(3, 28, "12:00")) == berlin(4, 5, "02:15")
    cut = ActiveHours.parse(["sun 01:30-02:30"])
    assert cut.next_change(berlin(3, 29, "01:45")) == berlin(3, 29, "03:00")
    assert berlin(3, 29, "03:00") - berlin(3, 29, "01:30") == 1800, "half an hour was left of it"


def test_the_hour_that_comes_twice_is_watched_twice() -> None:
    """On 25 October 2026 the clock goes from 03:00 back to 02:00."""
    night = ActiveHours.parse(["sat 22:00-06:00"])
    began_s = berlin(10, 24, "22:00")
    assert night.next_change(began_s) - began_s == 9 * 3600  # type: ignore[operator]
    short = ActiveHours.parse(["sun 02:15-02:45"])
    changes = [berlin(10, 25, "01:00")]
    for _ in range(4):
        changes.append(short.next_change(changes[-1]) or 0.0)
    first, second = (
        [berlin(10, 25, clock, fold) for clock in ("02:15", "02:45")] for fold in (0, 1)
    )
    assert changes[1:] == [*first, *second]


CLOCKS = st.integers(0, 24 * 60 - 1)


@given(st.sets(st.sampled_from(DAYS), min_size=1), CLOCKS, CLOCKS, st.integers(0, 366 * 24 * 60))
def test_every_moment_of_a_year_is_as_a_calendar_says(
    days: set[str], begin: int, end: int, minute: int
) -> None:
    if begin == end:
        return

    def clock(minutes: int) -> str:
        return f"{minutes // 60:02}:{minutes % 60:02}"

    line = f"{','.join(sorted(days))} {clock(begin)}-{clock(end)}"
    moment = datetime(2026, 1, 1, tzinfo=timezone.utc) + timedelta(minutes=minute)
    local = moment.astimezone(BERLIN)
    at = local.hour * 60 + local.minute
    today, yesterday = DAYS[local.weekday()] in days, DAYS[local.weekday() - 1] in days
    expected = today and begin <= at < end
    if end < begin:
        expected = (today and at >= begin) or (yesterday and at < end)
    assert ActiveHours.parse([line]).contain(moment.timestamp()) == expected


def test_until_when_is_right_also_when_the_clock_is_set_meanwhile() -> None:
    now = [on("tue", "20:00")]
    hours = WatchHours(["mon-fri 07:00-19:00"], clock=lambda: now[0])
    assert (hours.are_now(), hours.rest_until_utc_s) == (False, on("wed", "07:00"))
    now[0] = on("tue", "06:00")
    assert hours.rest_until_utc_s == on("tue", "07:00")
    now[0] = on("fri", "21:00")
    assert hours.rest_until_utc_s == on("mon", "07:00") + 7 * 86_400
    now[0] = on("fri", "12:00")
    assert (hours.are_now(), hours.rest_until_utc_s) == (True, None)


def test_without_hours_it_is_always_watched() -> None:
    hours = WatchHours(())
    assert (hours.are_now(), hours.rest_until_utc_s) == (True, None)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("07:00-19:00", "should look like mon-fri 07:00-19:00"),
        ("mon-fri", "should look like mon-fri 07:00-19:00"),
        ("mon-fri 7:00-19:00", "should look like mon-fri 07:00-19:00"),
        ("mon-fri 07:00-19:00 Europe/Berlin", "should look like mon-fri 07:00-19:00"),
        ("monday 07:00-19:00", "should have days of mon, tue, .*, got monday"),
        ("mon-fr 07:00-19:00", "should have days of mon, tue, .*, got mon-fr"),
        ("mon, 07:00-19:00", "should have days of mon, tue, .*, got"),
        ("mon-wed-fri 07:00-19:00", "should have days of mon, tue, .*, got mon-wed-fri"),
        ("mon 07:60-19:00", "should have times from 00:00 to 24:00, got 07:60"),
        ("mon 07:00-24:01", "should have times from 00:00 to 24:00, got 24:01"),
        ("mon 07:00-07:00", "should last a while, got .*; a whole day is 00:00-24:00"),
        ("mon 24:00-07:00", "should last a while, got .*; a whole day is 00:00-24:00"),
        ("", "should look like mon-fri 07:00-19:00"),
    ],
)
def test_what_is_no_window_is_said(line: str, expected: str, tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text(
        'site = "lab"\ngallery = "g.db"\n'
        f'[cameras.gate]\nsource.uri = "0"\nactive = ["sun 10:00-12:00", "{line}"]\n'
    )
    with pytest.raises(ConfigError, match=rf"cameras\.gate\.active\S*: {expected}"):
        load_settings(config, {})
