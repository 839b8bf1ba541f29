"""What a device gets for itself is looked at before it is sent anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.secured_broker import certs
from support.sites import equip, write_site

from deploy.site.credentials import secrets_of
from deploy.site.site import load_site
from edge_reid.core.errors import ConfigError


def problems(folder: Path, device: str = "gate-1") -> str:
    with pytest.raises(ConfigError) as caught:
        secrets_of(load_site(folder / "site.toml"), device)
    return "\n".join(caught.value.problems)


def test_a_device_gets_its_own_and_what_all_get(tmp_path: Path):
    secrets = secrets_of(load_site(equip(tmp_path)), "gate-1")
    there = {str(path): body for path, body in secrets.items()}
    assert there == {
        "/etc/edge-reid/secrets/ca.crt": (tmp_path / "pki/ca.crt").read_bytes(),
        "/etc/edge-reid/secrets/agent.crt": (tmp_path / "pki/clients/gate-1.crt").read_bytes(),
        "/etc/edge-reid/secrets/agent.key": (tmp_path / "pki/clients/gate-1.key").read_bytes(),
        "/etc/edge-reid/secrets/gallery-signing.pub": (
            tmp_path / "keys/gallery-signing.pub"
        ).read_bytes(),
        "/etc/edge-reid/secrets/release-signing.pub": (
            tmp_path / "keys/release-signing.pub"
        ).read_bytes(),
    }


def test_where_secrets_lie_is_where_the_configuration_looks(tmp_path: Path):
    site = load_site(equip(tmp_path))
    for device in site.devices:
        there = secrets_of(site, device)
        for agent in site.agents(device):
            mqtt, sync = agent.settings.mqtt, agent.settings.gallery_sync
            assert sync is not None
            named = {mqtt.ca_file, mqtt.cert_file, mqtt.key_file, sync.public_key}
            assert named <= set(map(Path, there))


def test_a_password_comes_from_a_file_of_its_owner(tmp_path: Path):
    text = equip(tmp_path).read_text().replace("[devices.gate-1]", PASSWORD)
    site = load_site(write_site(tmp_path, text))
    (tmp_path / "mqtt.password").write_text("secret\n")
    (tmp_path / "mqtt.password").chmod(0o644)
    assert "password_file: others may read" in problems(tmp_path)
    (tmp_path / "mqtt.password").chmod(0o600)
    there = {path.name: body for path, body in secrets_of(site, "gate-1").items()}
    assert there["broker.password"] == b"secret\n"
    (agent,) = site.agents("gate-1")
    assert agent.settings.mqtt.password_file == Path("/etc/edge-reid/secrets/broker.password")
    assert "secret\n" not in agent.text


PASSWORD = '[devices.gate-1]\npassword_file = "mqtt.password"'


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        ("rm pki/ca.crt", "files.ca_file: {}/pki/ca.crt cannot be read: No such file"),
        ("cp keys/gallery-signing.pub pki/ca.crt", "files.ca_file: expected a certificate in PEM"),
        ("cp pki/ca.crt keys/gallery-signing.pub", "files.gallery_public_key: public key"),
        (
            "truncate pki/clients/gate-1.crt",
            "devices.gate-1.cert_file: {}/pki/clients/gate-1.crt is",
        ),
        ("chmod pki/clients/gate-1.key", "devices.gate-1.key_file: others may read"),
        (
            "cp pki/clients/yard-1.key pki/clients/gate-1.key",
            "devices.gate-1.key_file: is not the private key of cert_file",
        ),
        (
            "cp pki/clients/yard-1.crt pki/clients/gate-1.crt",
            "devices.gate-1.cert_file: expected the certificate of gate-1, it is of yard-1",
        ),
    ],
)
def test_a_file_that_will_not_do_is_named(tmp_path: Path, spoil: str, complaint: str):
    equip(tmp_path)
    verb, *paths = spoil.split()
    files = [tmp_path / path for path in paths]
    if verb == "rm":
        files[0].unlink()
    elif verb == "cp":
        files[1].write_bytes(files[0].read_bytes())
    elif verb == "chmod":
        files[0].chmod(0o644)
    else:
        files[0].write_bytes(b"")
    assert complaint.format(tmp_path) in problems(tmp_path)


def test_a_certificate_of_another_camera_or_ca_would_be_refused_by_the_broker(tmp_path: Path):
    equip(tmp_path)
    certs(tmp_path / "pki", "agent gate-1 --site lab --camera door")
    assert "expected one for site lab and camera gate" in problems(tmp_path)
    certs(tmp_path / "pki", "agent yard-1 --site lab --camera north")
    both = "agent yard-1 --site lab --camera north --camera south"
    assert f"issue it anew: certs.py {both}" in problems(tmp_path, "yard-1")
    certs(tmp_path / "others", "server localhost")
    (tmp_path / "pki/ca.crt").write_bytes((tmp_path / "others/ca.crt").read_bytes())
    assert "is not signed by files.ca_file" in problems(tmp_path)


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path):
    equip(tmp_path)
    for path in tmp_path.rglob("yard-1.*"):
        path.unlink()
    assert problems(tmp_path, "yard-1").count("cannot be read") == 2
