from __future__ import annotations

from pathlib import Path

import pytest

from edge_reid.core.config import MqttSettings
from edge_reid.core.errors import ConfigError
from edge_reid.messaging.broker import Broker


def test_ports_have_their_usual_defaults() -> None:
    assert str(Broker.from_settings(MqttSettings(url="mqtt://box"))) == "mqtt://box:1883"
    assert str(Broker.from_settings(MqttSettings(url="mqtts://box"))) == "mqtts://box:8883"
    assert str(Broker.from_settings(MqttSettings(url="mqtt://[::1]:99"))) == "mqtt://[::1]:99"


def test_the_password_is_the_first_line_of_its_file_and_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("s3cret \nsecond line\n")
    broker = Broker.from_settings(
        MqttSettings(url="mqtt://box", username="gate", password_file=file)
    )
    assert broker.password == "s3cret "
    assert "s3cret" not in repr(broker)


def test_tls_verifies_always() -> None:
    import ssl

    tls = Broker.from_settings(MqttSettings(url="mqtts://box")).tls
    assert tls is not None
    assert tls.verify_mode is ssl.CERT_REQUIRED
    assert tls.check_hostname


def test_every_mistake_at_once(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    settings = MqttSettings(ca_file=tmp_path / "ca.pem", password_file=tmp_path / "empty")
    with pytest.raises(ConfigError) as caught:
        Broker.from_settings(settings)
    assert caught.value.problems == (
        "url: is missing; give one such as mqtt://127.0.0.1:1883",
        "ca_file: is of no use without mqtts://",
        "password_file: is of no use without username",
        f"password_file: {tmp_path / 'empty'} should hold the password in its first line",
    )
