"""`[cameras.NAME]`: several cameras of one agent, and what an installer gets wrong."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from edge_reid.core.config.agent_settings import AgentSettings, agent_name
from edge_reid.core.config.settings_file import load_settings
from edge_reid.core.errors import ConfigError

AGENT = 'site = "lab"\ngallery = "people.db"\n'
SHORT = 'camera = "gate"\n[source]\nuri = "rtsp://gate/1"\n'
GATE = '[cameras.gate]\nsource.uri = "rtsp://gate/1"\n'
DOOR = '[cameras.door]\nsource.uri = "rtsp://door/1"\n'


def load(folder: Path, text: str, agent: str = AGENT) -> AgentSettings:
    path = folder / "agent.toml"
    path.write_text(agent + text, encoding="utf-8")
    return load_settings(path, {})


def mistakes(folder: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(folder, text)
    return tuple(caught.value.problems)


def test_the_short_form_is_one_camera_of_that_name(tmp_path: Path):
    settings = load(tmp_path, f"{SHORT}[decide]\nmin_crops = 4\n")
    assert list(settings.cameras) == ["gate"]
    gate = settings.cameras["gate"]
    assert (gate.source.uri, gate.decide.min_crops) == ("rtsp://gate/1", 4)
    assert settings.agent == f"{agent_name(socket.gethostname())}-gate"


def test_a_table_of_one_camera_is_the_same_as_the_short_form(tmp_path: Path):
    long, short = load(tmp_path, GATE), load(tmp_path, SHORT)
    assert (long.cameras, long.agent) == (short.cameras, short.agent)


def test_the_agent_of_several_cameras_is_named_after_its_host(tmp_path: Path):
    settings = load(tmp_path, GATE + DOOR)
    assert list(settings.cameras) == ["gate", "door"]
    assert settings.agent == agent_name(socket.gethostname())


def test_a_camera_takes_key_by_key_what_it_does_not_set_itself(tmp_path: Path):
    shared = """
        [detect]
        rate_hz = 4
        strong_score = 0.6
        [track]
        max_lost_s = 3
        [embed]
        min_height_px = 64
        [decide]
        min_crops = 2
        [cameras.gate]
        source.uri = "rtsp://gate/1"
        detect.rate_hz = 5
        track.min_detections = 2
        embed.crops_per_track = 7
        decide.min_margin = 0.1
    """
    settings = load(tmp_path, shared + DOOR)
    gate, door = settings.cameras["gate"], settings.cameras["door"]
    assert (gate.detect.rate_hz, gate.detect.strong_score) == (5.0, 0.6)  # even a default's value
    assert (door.detect.rate_hz, door.detect.strong_score) == (4.0, 0.6)
    assert (gate.track.min_detections, gate.track.max_lost_s) == (2, 3.0)
    assert (gate.embed.crops_per_track, gate.embed.min_height_px) == (7, 64)
    assert (gate.decide.min_margin, gate.decide.min_crops) == (0.1, 2)
    assert door.decide.min_margin == settings.decide.min_margin


def test_a_camera_may_have_a_detector_of_its_own(tmp_path: Path):
    (tmp_path / "far.tflite").touch()
    settings = load(tmp_path, f'{GATE}detect.model = "far.tflite"\n{DOOR}')
    assert settings.cameras["gate"].detect.model == tmp_path / "far.tflite"
    assert settings.cameras["door"].detect.model == settings.models.detector


def test_paths_in_its_table_are_relative_to_the_file(tmp_path: Path):
    text = """
        [cameras.gate]
        source.uri = "gate.mp4"
        [cameras.source]
        source.uri = "https://door/1"
        source.ca_file = "ca.crt"
    """
    cameras = load(tmp_path, text).cameras
    assert cameras["gate"].source.uri == str(tmp_path / "gate.mp4")
    assert cameras["source"].source.uri == "https://door/1"
    assert cameras["source"].source.ca_file == tmp_path / "ca.crt"


def test_neither_form_is_a_mistake_that_says_what_to_write(tmp_path: Path):
    camera, source = mistakes(tmp_path, "")
    assert camera == (
        "camera: is missing; write camera and [source] for one camera, or [cameras.NAME] for each "
        "of several"
    )
    assert source.startswith("source: is missing; write camera")
    assert mistakes(tmp_path, 'camera = "gate"') == (source,)


def test_both_forms_are_a_mistake_that_says_what_to_write(tmp_path: Path):
    said = "should not stand beside [cameras.NAME]; write [cameras.gate] with source.uri for each"
    both = mistakes(tmp_path, SHORT + DOOR)
    assert [line.split(": ")[0] for line in both] == ["camera", "source"]
    assert all(said in line for line in both)


def test_a_zone_for_the_camera_of_the_short_form_says_where_its_source_goes(tmp_path: Path):
    """As the page gives its lines, for a camera that is written down in short."""
    zone = '[[cameras.gate.zones]]\nname = "desk"\npoints = [[0, 0], [1, 0], [1, 1]]\n'
    camera, source = mistakes(tmp_path, SHORT + zone)
    assert camera == (
        "camera: should not stand beside [cameras.NAME]; write [cameras.gate] with source.uri for "
        "each camera, also for a single one"
    )
    assert source.startswith("source: should not stand beside [cameras.NAME]; write [cameras.gate]")
    (lost,) = mistakes(tmp_path, SHORT + zone.replace("gate", "yard"))
    assert lost == "cameras.yard.source: is missing; add it", "of another camera"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("rtsp://gate/1", "rtsp://gate/1"),
        ("rtsp://me:secret@Gate:554/1", "RTSP://gate/1"),
        ("0", "/dev/video0"),
        ("clips/gate.mp4", "./clips/gate.mp4"),
    ],
)
def test_two_cameras_that_are_one_are_a_mistake(tmp_path: Path, first: str, second: str):
    text = f'[cameras.a]\nsource.uri = "{first}"\n[cameras.b]\nsource.uri = "{second}"\n'
    assert mistakes(tmp_path, text) == (
        "cameras.b.source.uri: is that of a too; each camera needs its own",
    )


@pytest.mark.parametrize(
    ("first", "second"),
    [("rtsp://gate/1", "rtsp://gate/2"), ("rtsp://gate/1?ch=1", "rtsp://gate/1?ch=2"), ("0", "1")],
)
def test_two_pictures_of_one_recorder_are_two_cameras(tmp_path: Path, first: str, second: str):
    text = f'[cameras.a]\nsource.uri = "{first}"\n[cameras.b]\nsource.uri = "{second}"\n'
    assert len(load(tmp_path, text).cameras) == 2


def test_all_mistakes_of_all_cameras_are_listed_at_once(tmp_path: Path):
    text = """
        [decide]
        min_crops = 0
        [cameras.gate-1]
        source.url = "rtsp://gate/1"
        [cameras.gate_1]
        source = "rtsp://gate/2"
        [cameras.Door]
        source.uri = "rtsp://door/1"
        detect.rate = 4
        [cameras.agents]
        uri = "rtsp://yard/1"
    """
    found = "\n".join(mistakes(tmp_path, text))
    for line in (
        "decide.min_crops: expected a number greater than or equal to 1, got 0; raise it",
        "cameras.gate-1.source.url: unknown key; did you mean cameras.gate-1.source.uri?",
        "cameras.gate_1.source: should be a table, got 'rtsp://gate/2'; write source.uri =",
        "cameras.Door: expected a name of a-z, 0-9, _ and -, at most 64, got 'Door'; write it so",
        "cameras.Door.detect.rate: unknown key; did you mean cameras.Door.detect.rate_hz?",
        "cameras.agents: should be another name",
        "cameras.agents.source: is missing",
        "cameras.agents.uri: unknown key; did you mean cameras.agents.source?",
    ):
        assert line in found


def test_names_that_nobody_tells_apart_are_a_mistake(tmp_path: Path):
    text = GATE.replace("gate]", "gate-1]") + DOOR.replace("door]", "gate_1]")
    assert mistakes(tmp_path, text) == (
        "cameras.gate_1: should differ from gate-1 by more than - and _; rename one",
    )


def test_a_table_named_camera_is_told_its_name(tmp_path: Path):
    found = mistakes(tmp_path, GATE.replace("cameras.", "camera."))
    assert found[0] == "camera: should be the name of the only camera; several are [cameras.NAME]"


TWO = '[cameras.gate.source]\nuri = "rtsp://gate/1"\ndetect_uri = "rtsp://gate/2"\n'


def test_a_camera_may_have_a_small_stream_beside_the_large_one(tmp_path: Path):
    source = load(tmp_path, TWO).cameras["gate"].source
    assert (source.detect_stream.uri, source.crop_stream.uri) == ("rtsp://gate/2", "rtsp://gate/1")
    assert source.detect_stream.detect_uri is source.crop_stream.detect_uri is None


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('uri = "0"', "detect_uri: should be set only as a URL, where uri is a URL too"),
        ('detect_uri = "small.mp4"', "detect_uri: should be set only as a URL, where uri is"),
        ('detect_uri = "rtsp://gate/1"', "detect_uri: should be another stream than uri"),
        ('detect_uri = "rtsp://me@gate/2"\nlogin_file = "gate.login"', "login_file: should be set"),
        ('uri = "rtsps://gate/1"\nca_file = "ca.crt"', "should be set only with rtsps:// or"),
        ("crop_linger_s = 0", "crop_linger_s: expected a number greater than 0"),
    ],
)
def test_a_small_stream_that_does_not_fit(tmp_path: Path, more: str, said: str):
    given = dict(line.split(" = ") for line in TWO.splitlines()[1:])
    given |= dict(line.split(" = ") for line in more.splitlines())
    table = "".join(f"{key} = {value}\n" for key, value in given.items())
    (mistake,) = mistakes(tmp_path, f"[cameras.gate.source]\n{table}")
    assert said in mistake


def test_a_small_stream_that_is_a_stream_of_another_camera(tmp_path: Path):
    other = '[cameras.door]\nsource.uri = "rtsp://gate:554/2"\n'
    assert mistakes(tmp_path, TWO + other) == (
        "cameras.gate.source.detect_uri: is that of door too; each camera needs its own",
    )


def test_a_login_file_of_one_of_several_cameras_lies_beside_the_configuration(tmp_path: Path):
    settings = load(tmp_path, f'{GATE}source.login_file = "gate.login"\n{DOOR}')
    assert settings.cameras["gate"].source.login_file == tmp_path / "gate.login"
