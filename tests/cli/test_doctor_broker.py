"""What the doctor says of the broker's settings, and of the certificate that an agent shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.outcome import Outcome
from support.secured_broker import certs

Doctor = Callable[..., Outcome]
NOBODY = "mqtts://127.0.0.1:9"


def examined(edge_reid: Doctor, folder: Path, mqtt: str, agent: str = "gate-1") -> Outcome:
    config = folder / "agent.toml"
    config.write_text(
        f'site = "lab"\ncamera = "gate"\nagent = "{agent}"\ngallery = "people.db"\n'
        f'[source]\nuri = "no.mp4"\n[mqtt]\n{mqtt}\n',
        encoding="utf-8",
    )
    edge_reid("gallery", "init", folder / "people.db")
    return edge_reid("doctor", "--offline", "--config", config)


def with_certificate(edge_reid: Doctor, folder: Path, words: str, agent: str = "gate-1") -> Outcome:
    """What is said of an agent that shows the certificate that certs.py makes of these words."""
    name = words.split()[1]
    code, _, complaint = certs(folder / "pki", words)
    assert code == 0, complaint
    mqtt = (
        f'url = "{NOBODY}"\nca_file = "pki/ca.crt"\n'
        f'cert_file = "pki/clients/{name}.crt"\nkey_file = "pki/clients/{name}.key"'
    )
    return examined(edge_reid, folder, mqtt, agent)


def test_each_mistake_has_a_line_and_its_own_remedy(edge_reid: Doctor, tmp_path: Path) -> None:
    mqtt = f'url = "mqtt://broker.example"\nca_file = "{tmp_path}/ca.crt"\npassword_file = "secret"'
    outcome = examined(edge_reid, tmp_path, mqtt)
    assert outcome.code == 1
    assert outcome.out.count("✗ broker") == 4
    said = " ".join(outcome.out.split())
    plaintext, ca_file, *_ = (part for part in said.split("✗ broker ")[1:])
    assert "plaintext over the network → use mqtts://, or allow_plaintext" in plaintext
    assert "ca_file" not in plaintext
    assert ca_file.startswith("mqtt: ca_file: is of no use without mqtts://")
    assert "mistakes" not in said


def test_the_certificate_of_the_agent_is_well(edge_reid: Doctor, tmp_path: Path) -> None:
    outcome = with_certificate(edge_reid, tmp_path, "agent gate-1 --site lab --camera gate")
    assert outcome.code == 0, outcome.out
    assert "✓ certificate" in outcome.out


def test_so_is_one_whose_rights_have_changed(edge_reid: Doctor, tmp_path: Path) -> None:
    """Its name has a number then: gate-1.2."""
    assert certs(tmp_path / "pki", "agent gate-1 --site lab --camera door")[0] == 0
    outcome = with_certificate(edge_reid, tmp_path, "agent gate-1 --site lab --camera gate")
    assert "✓ certificate" in outcome.out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (
            "agent door-1 --site lab --camera gate",
            "expected the certificate of agent gate-1, got that of agent door-1",
        ),
        (
            "sink gate-1",
            "expected the certificate of agent gate-1, got that of sink gate-1",
        ),
        (
            "agent gate-1 --site farm --camera gate",
            "expected one for site lab, got one for farm",
        ),
        (
            "agent gate-1 --site lab --camera door",
            "expected one for camera gate too, got one for door",
        ),
    ],
)
def test_one_that_the_brokers_rules_know_as_somebody_else_is_a_fault(
    edge_reid: Doctor, tmp_path: Path, words: str, complaint: str
) -> None:
    """The broker would let it in, and drop all that it says."""
    outcome = with_certificate(edge_reid, tmp_path, words)
    said = " ".join(outcome.out.split())
    assert outcome.code == 1
    assert f"✗ certificate mqtt.cert_file: {complaint}" in said
    assert "certs.py agent gate-1 --site lab --camera gate" in said


def test_one_of_another_authority_may_be_meant_so(edge_reid: Doctor, tmp_path: Path) -> None:
    """Whose broker's rules may go by something else."""
    server = tmp_path / "pki" / "server"
    assert certs(tmp_path / "pki", "server gate-2.example")[0] == 0
    mqtt = (
        f'url = "{NOBODY}"\nca_file = "pki/ca.crt"\n'
        f'cert_file = "{server}.crt"\nkey_file = "{server}.key"'
    )
    outcome = examined(edge_reid, tmp_path, mqtt)
    said = " ".join(outcome.out.split())
    assert outcome.code == 0, outcome.out
    assert "! certificate" in said
    assert "got gate-2.example" in said


def test_one_that_systemd_hands_over_is_looked_at_too(
    edge_reid: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert certs(tmp_path / "pki", "agent door-1 --site lab --camera door")[0] == 0
    handed = tmp_path / "credentials"
    handed.mkdir()
    for credential, file in {
        "mqtt.ca": "ca.crt",
        "mqtt.cert": "clients/door-1.crt",
        "mqtt.key": "clients/door-1.key",
    }.items():
        (handed / credential).write_bytes((tmp_path / "pki" / file).read_bytes())
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(handed))
    outcome = examined(edge_reid, tmp_path, f'url = "{NOBODY}"')
    assert outcome.code == 1
    assert "✗ certificate" in outcome.out


@pytest.mark.parametrize("url", ["", 'url = "mqtt://127.0.0.1:9"'])
def test_one_that_no_broker_is_shown_stops_no_installer(
    edge_reid: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """As where a device has had another agent, and its broker, before."""
    assert certs(tmp_path / "pki", "agent door-1 --site lab --camera door")[0] == 0
    handed = tmp_path / "credentials"
    handed.mkdir()
    certificate = tmp_path / "pki/clients/door-1.crt"
    (handed / "mqtt.cert").write_bytes(certificate.read_bytes())
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(handed))
    outcome = examined(edge_reid, tmp_path, url)
    assert outcome.code == 0, outcome.out
    assert "certificate" not in outcome.out


@pytest.mark.parametrize("body", ["no certificate", ""])
def test_what_is_no_certificate_is_said_once(edge_reid: Doctor, tmp_path: Path, body: str) -> None:
    (tmp_path / "agent.crt").write_text(body)
    mqtt = f'url = "{NOBODY}"\ncert_file = "agent.crt"\nkey_file = "agent.crt"'
    outcome = examined(edge_reid, tmp_path, mqtt)
    assert outcome.code == 1
    assert "✗ broker" in outcome.out
    assert "certificate  " not in outcome.out
