"""Every key of `site.toml`, with values of every kind: what is wrong is told in our words."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

import pytest
from support.sites import SITE
from support.wrong_files import (
    Place,
    Table,
    assert_in_our_words,
    mistakes_in,
    places,
    with_value,
)

from deploy.site.site import Site, load_site

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SOUND = tomllib.loads(SITE.replace("gate-1", "gate"))
del SOUND["devices"]["gate"]["timezone"]  # all zones of the machine are read for it
SECTIONS = ("mqtt", "detect", "home_assistant", "web", "models", "outbox", "gallery_sync")
SOME_KEYS = (("detect", "rate_hz"), ("mqtt", "url"), ("home_assistant", "pictures"))
WEDNESDAY = date(2026, 7, 1)
OF_AGENT: list[Place] = [
    (*at, *place)
    for at in (("agent",), ("devices", "gate", "agent"), ("devices", "gate", "cameras", "gate"))
    for place in (*((section,) for section in SECTIONS), *SOME_KEYS)
]
"""Where `agent.toml` of a device comes from; its own keys are looked at one by one elsewhere."""


def mistakes(folder: Path, table: Table) -> tuple[str, ...]:
    return mistakes_in(folder / "site.toml", table, load_site)


def test_the_sound_file_is_sound(tmp_path: Path) -> None:
    assert mistakes(tmp_path, SOUND) == ()


@pytest.mark.parametrize("place", [*places(Site), *OF_AGENT], ids=lambda at: ".".join(map(str, at)))
def test_no_word_of_the_library_shows_through(tmp_path: Path, place: Place) -> None:
    assert_in_our_words(lambda table: mistakes(tmp_path, table), SOUND, place)


@pytest.mark.parametrize(
    ("place", "value", "line"),
    [
        (("rollout", "soak_s"), "5", "rollout.soak_s: should be a number, without quotes, got '5'"),
        (("agent",), 3, "agent: expected a table, got a number; write [agent.NAME]"),
        (("agent",), True, "agent: expected a table, got true or false; write [agent.NAME]"),
        (("agent",), ["x"], "agent: expected a table, got a list; write [agent.NAME]"),
        (("agent",), WEDNESDAY, "agent: expected a table, got a time; write [agent.NAME]"),
        (("devices",), "gate", "devices: expected a table, got text; write [devices.NAME]"),
        (("files",), "pki", "files: expected a table, got text; write [files]"),
        (("agent",), "fast", "agent: expected a table, got text; write [agent.NAME]"),
        (("agent", "detect"), "fast", "agent.detect: expected a table, got text; write"),
        (("target",), "pi-bokworm", "did you mean 'pi-bookworm'?"),
        (("devices", "gate", "hostnme"), "x", "unknown key; did you mean devices.gate.hostname?"),
        (
            ("agent", "home_assistant", "pictures"),
            True,
            "agent.home_assistant.pictures: expected enabled = true",
        ),
    ],
)
def test_what_is_wrong_and_where(tmp_path: Path, place: Place, value: object, line: str) -> None:
    found = mistakes(tmp_path, with_value(SOUND, place, value))
    assert any(line in said for said in found), found


def test_no_login_in_the_name_of_a_device_is_shown(tmp_path: Path) -> None:
    table = {
        **SOUND,
        "devices": {"rtsp://me:s3cret@gate": {**SOUND["devices"]["gate"], "group": "x"}},
    }
    said = "\n".join(mistakes(tmp_path, table))
    assert "devices.rtsp://gate.group: expected one of" in said
    assert "s3cret" not in said
