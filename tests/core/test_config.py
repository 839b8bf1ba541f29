import re
from datetime import datetime, timezone
from pathlib import Path

import pytest

from edge_reid.core.config.agent_settings import agent_name
from edge_reid.core.config.settings_file import load_settings
from edge_reid.core.errors import ConfigError

URI = 'uri = "rtsp://camera/stream"'
GOOD = f"""
site = "lab"
camera = "gate"
gallery = "people.db"
[source]
{URI}
[decide]
target_fpir = 0.001
[mqtt]
url = "mqtts://broker:8883"
password_file = "secret/password"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "agent.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path, encoding: str):
    path = tmp_path / "agent.toml"
    path.write_bytes(GOOD.encode(encoding))
    assert load_settings(path, {}).site == "lab"


def test_a_file_sets_what_it_names_and_defaults_the_rest(tmp_path: Path):
    settings = load_settings(write(tmp_path, GOOD), {})
    assert settings.site == "lab"
    assert settings.decide.target_fpir == 0.001
    assert settings.detect.rate_hz == 5.0


def test_paths_in_a_file_are_relative_to_the_file(tmp_path: Path):
    settings = load_settings(write(tmp_path, GOOD), {})
    assert settings.gallery == tmp_path / "people.db"
    assert settings.mqtt.password_file == tmp_path / "secret" / "password"
    assert settings.outbox_path == tmp_path / f"outbox-{settings.agent}.db"


@pytest.mark.parametrize("clip", ["clip.mp4", "clips/gate.mp4", "../clip.mp4"])
def test_so_is_a_video_file(tmp_path: Path, clip: str):
    text = GOOD.replace(URI, f'uri = "{clip}"')
    assert load_settings(write(tmp_path, text), {}).source.uri == str(tmp_path / clip)
    assert load_settings(write(tmp_path, text), {"source": {"uri": clip}}).source.uri == clip


@pytest.mark.parametrize("camera", ["0", "/dev/video0", "rtsp://gate/stream", "http://gate/v.mjpg"])
def test_a_camera_is_no_file(tmp_path: Path, camera: str):
    text = GOOD.replace(URI, f'uri = "{camera}"')
    assert load_settings(write(tmp_path, text), {}).source.uri == camera


class TestStrangers:
    def test_nobody_is_remembered_unless_it_is_asked_for(self, tmp_path: Path):
        assert load_settings(write(tmp_path, GOOD), {}).strangers is None

    def test_an_empty_section_asks_for_it(self, tmp_path: Path):
        settings = load_settings(write(tmp_path, GOOD + "[strangers]\n"), {})
        assert settings.strangers is not None
        assert settings.strangers.keep_s == 86_400
        assert settings.strangers_path == tmp_path / "strangers.db"

    def test_they_are_kept_beside_the_outbox_or_where_the_file_says(self, tmp_path: Path):
        beside = GOOD + '[strangers]\n[outbox]\npath = "var/outbox.db"\n'
        settings = load_settings(write(tmp_path, beside), {})
        assert settings.strangers_path == tmp_path / "var" / "strangers.db"
        elsewhere = GOOD + '[strangers]\npath = "var/people.db"\n'
        settings = load_settings(write(tmp_path, elsewhere), {})
        assert settings.strangers_path == tmp_path / "var" / "people.db"

    def test_they_are_not_shared_unless_it_is_asked_for_and_the_broker_is_trusted(
        self, tmp_path: Path
    ):
        settings = load_settings(write(tmp_path, GOOD + "[strangers]\n"), {})
        assert settings.strangers is not None
        assert not settings.strangers.share
        shared = GOOD + "[strangers]\nshare = true\n"
        assert load_settings(write(tmp_path, shared), {}).strangers
        plain = shared.replace("mqtts://broker:8883", "mqtt://127.0.0.1:1883")
        with pytest.raises(ConfigError, match="strangers.share: expected mqtt.url with mqtts://"):
            load_settings(write(tmp_path, plain), {})

    def test_mistakes_are_named(self, tmp_path: Path):
        wrong = GOOD + "[strangers]\nkeep_s = 0\ntarget_fpir = 2\nforever = true\n"
        with pytest.raises(ConfigError) as caught:
            load_settings(write(tmp_path, wrong), {})
        assert len(caught.value.problems) == 3


def test_the_command_line_wins_over_the_file_and_leaves_the_rest(tmp_path: Path):
    settings = load_settings(write(tmp_path, GOOD), {"camera": "door", "mqtt": {"username": "u"}})
    assert settings.camera == "door"
    assert settings.mqtt.username == "u"
    assert settings.mqtt.url == "mqtts://broker:8883"


def test_every_mistake_is_listed_at_once(tmp_path: Path):
    text = GOOD.replace('"lab"', '"The Lab"').replace("0.001", "1.5") + "\n[detect]\nratehz = 4\n"
    text = text.replace("mqtts://broker:8883", "http://broker")
    with pytest.raises(ConfigError) as caught:
        load_settings(write(tmp_path, text), {})
    problems = "\n".join(caught.value.problems)
    assert len(caught.value.problems) == 4
    assert "site: expected a name of a-z" in problems
    assert "decide.target_fpir: expected a number less than 1, got 1.5; lower it" in problems
    assert "detect.ratehz: unknown key" in problems
    assert "mqtt.url: should look like mqtt://host:1883" in problems


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("mqtt://", "should look like"),
        ("mqtt://me:secret@broker", "should hold no login"),
        ("mqtt://broker:99999", "port between 1 and 65535"),
    ],
)
def test_a_broker_url_that_cannot_be_is_refused_without_repeating_a_secret(
    url: str, complaint: str
):
    overrides = {"site": "s", "camera": "c", "gallery": "g.db", "source": {"uri": "0"}}
    with pytest.raises(ConfigError, match=complaint) as caught:
        load_settings(None, {**overrides, "mqtt": {"url": url}})
    assert "secret" not in str(caught.value)


def test_tls_verification_cannot_be_turned_off(tmp_path: Path):
    with pytest.raises(ConfigError, match="mqtt.tls_insecure"):
        load_settings(write(tmp_path, GOOD + "tls_insecure = true\n"), {})


def test_no_picture_is_for_home_assistant_unless_both_are_wanted(tmp_path: Path):
    text = f"{GOOD}[home_assistant]\n"
    announced = load_settings(write(tmp_path, f"{text}enabled = true\n"), {}).home_assistant
    assert not announced.pictures
    with pytest.raises(ConfigError, match="expected enabled = true beside it"):
        load_settings(write(tmp_path, f"{text}pictures = true\n"), {})


def test_a_missing_file_and_one_that_is_not_toml_are_said_so(tmp_path: Path):
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_settings(tmp_path / "none.toml", {})
    with pytest.raises(ConfigError, match="is not TOML"):
        load_settings(write(tmp_path, "site = = 3"), {})


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ("site = lab", "; write text in quotes, and true and false in small letters"),
        ("motion_gate = True", "; write text in quotes, and true and false in small letters"),
        (r'gallery = "C:\Users\me\g.db"', "; in double quotes write a backslash twice"),
        (r'gallery = "C:\me\g.db"', "; in double quotes write a backslash twice"),
        ("site lab", ""),
    ],
)
def test_what_is_often_no_toml_says_what_to_do(tmp_path: Path, line: str, remedy: str):
    file = write(tmp_path, line)
    with pytest.raises(ConfigError) as caught:
        load_settings(file, {})
    assert re.search(r"is not TOML: .* \(at line 1, column \d+\)" + remedy + "$", str(caught.value))


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("[cameras.gate]\n[cameras.gate]\n", "; a heading stands once: give each table a name of"),
        ('site = "a"\nsite = "b"\n', "; a key stands once in its table"),
        ("[gate]\nzones = []\n[[gate.zones]]\n", "; what is written as key = […] or {…} is whole"),
    ],
)
def test_what_stands_twice_says_what_to_do(tmp_path: Path, text: str, remedy: str):
    with pytest.raises(ConfigError, match=re.escape(remedy)):
        load_settings(write(tmp_path, text), {})


def test_no_command_is_taken_unless_it_is_named(tmp_path: Path):
    assert load_settings(write(tmp_path, GOOD), {}).commands.allow == ()
    text = GOOD + '[commands]\nallow = ["snapshot"]\nsnapshot_dir = "pictures"\n'
    settings = load_settings(write(tmp_path, text), {})
    assert settings.commands.allow == ("snapshot",)
    assert settings.commands.snapshot_dir == tmp_path / "pictures"


@pytest.mark.parametrize(
    ("section", "complaint"),
    [
        ('allow = ["format-disk"]', "commands.allow.0: expected one of 'snapshot', 'reload'"),
        ('allow = ["snapshot"]', "commands.snapshot_dir: is missing; snapshot needs a folder"),
        ("threshold_min = 0.9\nthreshold_max = 0.2", "threshold_min: should be less than"),
    ],
)
def test_commands_that_cannot_be(tmp_path: Path, section: str, complaint: str):
    with pytest.raises(ConfigError, match=complaint):
        load_settings(write(tmp_path, f"{GOOD}[commands]\n{section}\n"), {})


def test_start_time_without_a_zone_is_utc(tmp_path: Path):
    text = GOOD.replace("[decide]", "start_time = 2026-05-01T08:00:00\n[decide]")
    settings = load_settings(write(tmp_path, text), {})
    expected = datetime(2026, 5, 1, 8, tzinfo=timezone.utc).timestamp()
    assert settings.source.start_utc_s == expected


def test_two_cameras_of_one_box_share_neither_name_nor_outbox(tmp_path: Path):
    gate, door = (
        load_settings(write(tmp_path, GOOD), {"camera": name}) for name in ("gate", "door")
    )
    assert gate.agent != door.agent
    assert gate.outbox_path != door.outbox_path


@pytest.mark.parametrize(
    ("hostname", "name"),
    [("Gate-1.local", "gate-1"), ("raspberrypi", "raspberrypi"), ("", "agent")],
)
def test_an_agent_is_named_after_its_host(hostname: str, name: str):
    assert agent_name(hostname) == name


@pytest.mark.parametrize(
    ("section", "line", "expected"),
    [
        ("detect", 'rate_hz = "5"', "detect.rate_hz: should be a number, without quotes"),
        ("detect", "rate_hz = true", "detect.rate_hz: should be a number, without quotes"),
        ("detect", 'motion_gate = "no"', "detect.motion_gate: should be true or false"),
        ("models", 'threads = "2"', "models.threads: should be a number, without quotes"),
        ("decide", 'threshold = "0.7"', "decide.threshold: should be a number, without quotes"),
        ("outbox", "max_bytes = false", "outbox.max_bytes: should be a number, without quotes"),
    ],
)
def test_numbers_and_truth_values_are_written_as_such(
    tmp_path: Path, section: str, line: str, expected: str
):
    text = GOOD.replace("[decide]", f"[decide]\n{line}") if section == "decide" else GOOD
    text = text if section == "decide" else f"{GOOD}[{section}]\n{line}\n"
    with pytest.raises(ConfigError) as error:
        load_settings(write(tmp_path, text), {})
    assert any(problem.startswith(expected) for problem in error.value.problems)


def test_a_whole_number_may_stand_where_a_fraction_may(tmp_path: Path):
    settings = load_settings(write(tmp_path, f"{GOOD}[detect]\nrate_hz = 3\n"), {})
    assert settings.detect.rate_hz == 3.0
