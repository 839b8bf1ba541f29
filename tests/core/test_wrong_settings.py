"""Every key of `agent.toml`, with values of every kind: what is wrong is told in our words."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.wrong_files import (
    Place,
    Table,
    assert_in_our_words,
    mistakes_in,
    places,
    with_value,
)

from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.config.settings_file import load_settings

GATE = {
    "source": {"uri": "rtsp://gate/1"},
    "masks": [{"points": [[0, 0], [1, 0], [0, 1]]}],
    "zones": [{"name": "desk", "points": [[0, 0], [1, 0], [0, 1]]}],
    "lines": [{"name": "door", "points": [[0, 0], [1, 0]]}],
}
SOUND = {
    "site": "lab",
    "gallery": "people.db",
    "mqtt": {"url": "mqtts://broker"},
    "gallery_sync": {"source": "mqtt", "public_key": "k.pub"},
    "update": {"source": "/stick", "public_key": "k.pub"},
    "cameras": {"gate": GATE},
}


def mistakes(folder: Path, table: Table) -> tuple[str, ...]:
    return mistakes_in(folder / "agent.toml", table, lambda file: load_settings(file, {}))


def test_the_sound_file_is_sound(tmp_path: Path) -> None:
    assert mistakes(tmp_path, SOUND) == ()


@pytest.mark.parametrize(
    "place", list(places(AgentSettings)), ids=lambda at: ".".join(map(str, at))
)
def test_no_word_of_the_library_shows_through(tmp_path: Path, place: Place) -> None:
    assert_in_our_words(lambda table: mistakes(tmp_path, table), SOUND, place)


@pytest.mark.parametrize(
    ("place", "value", "line"),
    [
        (
            ("zones", 0, "points"),
            [[0, 0], [1, 1]],
            "expected 3 or more entries, got [[0, 0], [1, 1]]; add",
        ),
        (("zones", 0, "points"), [[0, 0], [1], [0, 1]], "is missing; add it"),
        (
            ("zones", 0, "points"),
            "all of it",
            "expected a list, got 'all of it'; write it in brackets",
        ),
        (
            ("zones",),
            {"name": "desk"},
            "expected a list, got a table; write it in brackets, tables as [[cam",
        ),
        (("zones",), ["desk"], "expected a table, got text; write [[cameras.gate.zones]]"),
        (("detect",), "fast", "expected a table, got text; write [cameras.gate.detect]"),
        (
            ("source", "rtsp_transport"),
            "tpc",
            "expected one of 'tcp' or 'udp', got 'tpc'; did you mean 'tcp'?",
        ),
        (("source", "rtsp_transport"), "or", "expected one of 'tcp' or 'udp', got 'or'; choose"),
        (("source", "rtsp_transport"), 5, "expected one of 'tcp' or 'udp', got 5; choose one"),
        (
            ("active",),
            "mon-fri 07:00-19:00",
            "expected a list, got 'mon-fri 07:00-19:00'; write it in brackets",
        ),
        (("active",), ["always"], "should look like mon-fri 07:00-19:00, or sat,sun"),
    ],
)
def test_what_is_wrong_with_a_camera(
    tmp_path: Path, place: Place, value: object, line: str
) -> None:
    gate = ("cameras", "gate", *place)
    (found,) = mistakes(tmp_path, with_value(SOUND, gate, value))
    key, _, said = found.partition(": ")
    assert said.startswith(line)
    assert key.startswith(".".join(map(str, gate)))


@pytest.mark.parametrize(
    ("corner", "line"),
    [
        ([0.5, 1.5], "points.2.1: expected a number less than or equal to 1, got 1.5; lower it"),
        ([-1, 1], "points.2.0: expected a number greater than or equal to 0, got -1; raise it"),
        (["a", 1], "points.2.0: expected a number, got 'a'; write one, without quotes"),
        (["0.5", 1], "points.2.0: expected a number, got '0.5'; write one, without quotes"),
        ([0.1, 0.2, 0.3], "points.2: expected at most 2 entries, got [0.1, 0.2, 0.3]; take"),
    ],
)
def test_what_is_wrong_with_a_corner(tmp_path: Path, corner: list[object], line: str) -> None:
    zone = ("cameras", "gate", "zones", 0)
    wrong = with_value(SOUND, (*zone, "points"), [[0, 0], [1, 0], corner])
    (found,) = mistakes(tmp_path, wrong)
    assert found.startswith(f"cameras.gate.zones.0.{line}")


@pytest.mark.parametrize(
    ("place", "remedy"),
    [
        (("gallery",), "write one"),
        (("update", "public_key"), "write one"),
        (("mqtt", "ca_file"), "write one, or leave the key out"),
        (("cameras", "gate", "source", "login_file"), "write one, or leave the key out"),
    ],
)
def test_an_empty_text_is_no_path(tmp_path: Path, place: Place, remedy: str) -> None:
    """It is not the folder of the file, which it would be if it were appended to that."""
    assert mistakes(tmp_path, with_value(SOUND, place, "")) == (
        f"{'.'.join(map(str, place))}: expected a name or a path, got an empty text; {remedy}",
    )


def test_what_a_whole_table_lacks_is_told_by_its_key(tmp_path: Path) -> None:
    table = with_value(SOUND, ("commands", "allow"), ["snapshot"])
    assert mistakes(tmp_path, table) == (
        "commands.snapshot_dir: is missing; snapshot needs a folder for its pictures",
    )
    table = with_value(SOUND, ("web", "cert_file"), "page.crt")
    assert mistakes(tmp_path, table) == (
        "web.cert_file and web.key_file: should be set both or not at all",
    )
    table = with_value(SOUND, ("home_assistant", "pictures"), value=True)
    assert mistakes(tmp_path, table) == (
        "home_assistant.pictures: expected enabled = true beside it; set it",
    )


@pytest.mark.parametrize("value", ["mqtts://me:s3cret@broker", "me:s3cret@broker"])
def test_no_login_is_shown(tmp_path: Path, value: str) -> None:
    for place in (("mqtt", "url"), ("mqtt", "protocol"), ("cameras", "gate", "masks")):
        said = str(mistakes(tmp_path, with_value(SOUND, place, value)))
        assert ": " in said
        assert "s3cret" not in said
    for key in ("password_file", "username"):
        said = str(mistakes(tmp_path, with_value(SOUND, ("mqtt", key), ["s3cret"])))
        assert "expected" in said
        assert "s3cret" not in said


def test_no_login_in_the_name_of_a_table_or_key_is_shown(tmp_path: Path) -> None:
    camera = {**SOUND, "cameras": {"rtsp://me:s3cret@gate": GATE}}
    key = with_value(SOUND, ("mqtt", "me:s3cret@broker"), 1)
    for table, line in (
        (camera, "cameras.rtsp://gate: expected a name of a-z"),
        (key, "mqtt.…@broker: unknown key"),
    ):
        said = "\n".join(mistakes(tmp_path, table))
        assert said.startswith(line)
        assert "s3cret" not in said


@pytest.mark.parametrize("query", ["sig=s3cret", "sv=1&X-Amz-Signature=s3cret", "apikey=s3cret"])
def test_no_signature_of_an_address_is_shown(tmp_path: Path, query: str) -> None:
    wrong = with_value(SOUND, ("gallery_sync", "source"), f"https://h.example/g?{query}")
    (said,) = mistakes(tmp_path, wrong)
    assert "got 'https://h.example'" in said
    assert "s3cret" not in said


@pytest.mark.parametrize("key", ["zones", "lines", "masks", "active", "detect.model"])
def test_what_only_a_camera_table_may_have_is_told_so(tmp_path: Path, key: str) -> None:
    """With `camera` and `[source]` beside it: the form that people begin with."""
    short: Table = {"site": "lab", "gallery": "people.db", "camera": "gate"} | {
        "source": {"uri": "rtsp://gate/1"}
    }
    table, _, inner = key.partition(".")
    wrong = with_value(short, (table,), {inner: "x"} if inner else [])
    (found,) = mistakes(tmp_path, wrong)
    assert found == f"{key}: unknown key; did you mean cameras.NAME.{key}?"


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (
            {"web": {"listen": "0.0.0.0:8480"}},
            [
                "web.token_file: is missing, or a table [web.users.NAME]; ",
                "web.cert_file: is missing; other hosts reach the page",
            ],
        ),
        (
            {"web": {"behind_proxy": True, "cert_file": "c"}},
            [
                "web.cert_file and web.key_file: should be set both or not at all",
                "web.behind_proxy: should not be set with cert_file",
                "web.token_file: is missing",
            ],
        ),
        (
            {"commands": {"allow": ["snapshot"], "threshold_min": 0.5, "threshold_max": 0.4}},
            ["commands.snapshot_dir: is missing; ", "commands.threshold_min: should be less"],
        ),
        (
            {
                "cameras": {
                    "gate": {"source": {"uri": "0", "detect_uri": "0", "login_file": "l"}},
                }
            },
            [
                "cameras.gate.source.detect_uri: should be set only as a URL",
                "cameras.gate.source.login_file: should be set only with a URL",
            ],
        ),
        (
            {"mqtt": {}},
            [
                "gallery_sync.source: expected mqtt.url beside mqtt, got none; set it",
                "update: expected mqtt.url, got none; ",
            ],
        ),
    ],
)
def test_what_does_not_fit_together_is_told_all_at_once(
    tmp_path: Path, table: Table, told: list[str]
) -> None:
    lines = mistakes(tmp_path, SOUND | table)
    assert len(lines) == len(told)
    for line, words in zip(lines, told, strict=True):
        assert line.startswith(words)
