from __future__ import annotations

from pathlib import Path

import pytest

from edge_reid.core.config.broker_settings import MqttSettings
from edge_reid.core.errors import ConfigError
from edge_reid.mqtt.broker import Broker


def test_ports_have_their_usual_defaults() -> None:
    assert (
        str(Broker.from_settings(MqttSettings(url="mqtt://127.0.0.1"))) == "mqtt://127.0.0.1:1883"
    )
    assert str(Broker.from_settings(MqttSettings(url="mqtts://device"))) == "mqtts://device:8883"
    assert str(Broker.from_settings(MqttSettings(url="mqtt://[::1]:99"))) == "mqtt://[::1]:99"


def test_the_password_is_the_first_line_of_its_file_and_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("s3cret \nsecond line\n")
    broker = Broker.from_settings(
        MqttSettings(url="mqtts://device", username="gate", password_file=file)
    )
    assert broker.password == "s3cret "
    assert "s3cret" not in repr(broker)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_mark_that_editors_on_windows_put_first_is_no_part_of_a_password(
    tmp_path: Path, encoding: str
) -> None:
    file = tmp_path / "password"
    file.write_bytes("pässword\r\n".encode(encoding))
    broker = Broker.from_settings(
        MqttSettings(url="mqtts://device", username="gate", password_file=file)
    )
    assert broker.password == "pässword"


def test_tls_verifies_always() -> None:
    import ssl

    tls = Broker.from_settings(MqttSettings(url="mqtts://device")).tls
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
        "ca_file: is of no use without mqtts://; say that, or leave it out",
        "password_file: is of no use without mqtt.username; set it",
        (
            f"password_file: {tmp_path / 'empty'} should hold the password in its first line; "
            "write it there"
        ),
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "[::1]", "localhost"])
def test_plaintext_stays_on_this_machine(host: str) -> None:
    assert Broker.from_settings(MqttSettings(url=f"mqtt://{host}")).tls is None


@pytest.mark.parametrize("host", ["device", "192.0.2.7", "localhost.example.com", "[2001:db8::1]"])
def test_plaintext_leaves_it_only_when_that_is_said(host: str) -> None:
    settings = MqttSettings(url=f"mqtt://{host}")
    with pytest.raises(ConfigError, match="plaintext over the network; use mqtts://, or allow_pl"):
        Broker.from_settings(settings)
    allowed = settings.model_copy(update={"allow_plaintext": True})
    assert Broker.from_settings(allowed).tls is None


def test_systemd_hands_over_what_no_setting_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`LoadCredential=mqtt.password:…` in the unit; a setting wins over it."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "mqtt.password").write_text("from systemd\n")
    (tmp_path / "own").write_text("from the file\n")
    settings = MqttSettings(url="mqtts://device", username="gate")
    assert Broker.from_settings(settings).password == "from systemd"
    own = settings.model_copy(update={"password_file": tmp_path / "own"})
    assert Broker.from_settings(own).password == "from the file"
    nobody = MqttSettings(url="mqtts://device")
    assert Broker.from_settings(nobody).password is None


def test_a_certificate_handed_over_by_systemd_is_shown_to_the_broker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "mqtt.cert").write_text("no certificate")
    with pytest.raises(ConfigError, match="cert_file: goes with key_file"):
        Broker.from_settings(MqttSettings(url="mqtts://device"))
    (tmp_path / "mqtt.key").write_text("no key")
    with pytest.raises(ConfigError, match="are no certificate with its key"):
        Broker.from_settings(MqttSettings(url="mqtts://device"))


def test_a_blank_credential_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit file asks for all of them; what a device does not have, systemd makes up as a
    blank.
    """
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    for name in ("mqtt.ca", "mqtt.cert", "mqtt.key", "mqtt.password"):
        (tmp_path / name).write_text("\n")
    broker = Broker.from_settings(MqttSettings(url="mqtts://device", username="gate"))
    assert broker.tls is not None
    assert broker.password is None


def test_certificates_without_tls_are_a_mistake(tmp_path: Path) -> None:
    settings = MqttSettings(
        url="mqtt://127.0.0.1", cert_file=tmp_path / "c.crt", key_file=tmp_path / "c.key"
    )
    with pytest.raises(ConfigError) as caught:
        Broker.from_settings(settings)
    assert caught.value.problems == (
        "cert_file: is of no use without mqtts://; say that, or leave it out",
        "key_file: is of no use without mqtts://; say that, or leave it out",
    )


def test_the_least_version_of_tls_is_1_2() -> None:
    import ssl

    tls = Broker.from_settings(MqttSettings(url="mqtts://device")).tls
    assert tls is not None
    assert tls.minimum_version is ssl.TLSVersion.TLSv1_2
