"""Every key of `site.toml`, with values of every kind: what is wrong is told in our words."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from support.sites import SITE
from support.wrong_files import WRONG_VALUES, Place, bad_lines, places, with_value

from deploy.site.site import Site, load_site
from edge_reid.core.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SOUND = tomllib.loads(SITE.replace("gate-1", "gate"))
del SOUND["devices"]["gate"]["timezone"]  # all zones of the machine are read for it
SECTIONS = ("mqtt", "detect", "home_assistant", "web", "models", "outbox", "gallery_sync")
SOME_KEYS = (("detect", "rate_hz"), ("mqtt", "url"), ("home_assistant", "pictures"))
OF_AGENT: list[Place] = [
    (*at, *place)
    for at in (("agent",), ("devices", "gate", "agent"), ("devices", "gate", "cameras", "gate"))
    for place in (*((section,) for section in SECTIONS), *SOME_KEYS)
]
"""Where `agent.toml` of a device comes from; its own keys are looked at one by one elsewhere."""


def mistakes(folder: Path, table: dict[str, Any]) -> tuple[str, ...]:
    path = folder / "site.toml"
    path.write_bytes(tomli_w.dumps(table).encode())
    try:
        load_site(path)
    except ConfigError as error:
        return error.problems
    return ()


def test_the_sound_file_is_sound(tmp_path: Path) -> None:
    assert mistakes(tmp_path, SOUND) == ()


@pytest.mark.parametrize("place", [*places(Site), *OF_AGENT], ids=lambda at: ".".join(map(str, at)))
def test_no_word_of_the_library_shows_through(tmp_path: Path, place: Place) -> None:
    found = [mistakes(tmp_path, with_value(SOUND, place, value)) for value in WRONG_VALUES]
    assert any(found), "some of these values are wrong for any key"
    assert [line for lines in found for line in bad_lines(lines)] == []


@pytest.mark.parametrize(
    ("place", "value", "line"),
    [
        (("rollout", "soak_s"), "5", "rollout.soak_s: should be a number, without quotes, got '5'"),
        (("devices",), "gate", "devices: expected a table, got 'gate'; write [devices.NAME]"),
        (("files",), "pki", "files: expected a table, got 'pki'; write [files]"),
        (("agent",), "fast", "agent: expected a table, got 'fast'; write [agent.NAME]"),
        (("agent", "detect"), "fast", "agent.detect: expected a table, got 'fast'; write"),
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
