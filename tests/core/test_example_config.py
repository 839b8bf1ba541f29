"""The configuration that ships as an example is one, as it is and with what is commented out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge_reid.core.config.settings_file import load_settings
from edge_reid.core.errors import ConfigError

EXAMPLE = Path(__file__).parents[2] / "deploy" / "agent.toml"
FIRST_LINES = 10


def with_mqtt(text: str) -> str:
    """The example with the comment marks of [mqtt] taken away, but for a second way to log in."""
    block = re.search(r"^# \[mqtt\]\n(# (?!username|password).*\n)+", text, re.MULTILINE)
    assert block
    return text.replace(block[0], re.sub("^# ", "", block[0], flags=re.MULTILINE))


def test_the_example_is_valid():
    settings = load_settings(EXAMPLE, {})
    assert settings.camera == "gate"
    assert settings.outbox_path == EXAMPLE.parent / "outbox.db"


def test_its_first_lines_alone_are_what_a_laptop_needs(tmp_path: Path):
    config = tmp_path / "agent.toml"
    config.write_text("\n".join(EXAMPLE.read_text().splitlines()[:FIRST_LINES]))
    settings = load_settings(config, {})
    assert settings.cameras["gate"].source.uri == "0"
    assert settings.gallery == tmp_path / "gallery.db"
    assert settings.mqtt.url is None, "a broker needs files that a newcomer has not"


def test_the_broker_of_a_device_is_reached_over_tls_with_a_certificate(tmp_path: Path):
    config = tmp_path / "agent.toml"
    config.write_text(with_mqtt(EXAMPLE.read_text()))
    mqtt = load_settings(config, {}).mqtt
    assert str(mqtt.url).startswith("mqtts://")
    assert None not in (mqtt.ca_file, mqtt.cert_file, mqtt.key_file)
    assert not mqtt.allow_plaintext


def test_a_key_that_is_taken_from_its_comments_lands_in_its_table(tmp_path: Path):
    """Whoever takes away the comment marks where they stand is not told of unknown keys."""
    config = tmp_path / "agent.toml"
    text = with_mqtt(EXAMPLE.read_text()).replace('"0"', '"rtsp://camera.local/stream"')
    config.write_text(re.sub("^# (detect_uri|snapshot_dir) = ", r"\1 = ", text, flags=re.MULTILINE))
    settings = load_settings(config, {})
    assert settings.cameras["gate"].source.detect_uri == "rtsp://camera.local/substream"
    assert settings.commands.snapshot_dir == tmp_path / "pictures"
    config.write_text(f"{text}\nno_such_key = 1\n")
    with pytest.raises(ConfigError, match="no_such_key"):
        load_settings(config, {})
