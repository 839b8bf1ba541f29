"""A site of two devices, three cameras; the files it names are made by `equip`."""

from __future__ import annotations

from pathlib import Path

from support.secured_broker import certs

from edge_reid.signing.keys import SigningKey

SITE = """\
site = "lab"
target = "pi-bookworm"

[agent.mqtt]
url = "mqtts://broker.lab.example:8883"
[agent.gallery_sync]
source = "mqtt"
[agent.detect]
rate_hz = 2

[files]
ca_file = "pki/ca.crt"
gallery_public_key = "keys/gallery-signing.pub"
release_public_key = "keys/release-signing.pub"

[wifi]
ssid = "cctv of the laboratory"
password_file = "wifi.password"
country = "DE"

[ssh]
user = "installer"
authorized_keys = ["ssh-ed25519 AAAA me@laptop"]

[rollout]
groups = ["canary"]

[devices.gate-1]
hostname = "camera-17"
target = "pi-trixie"
group = "canary"
cert_file = "pki/clients/gate-1.crt"
key_file = "pki/clients/gate-1.key"
timezone = "Europe/Berlin"
address = "192.0.2.17/24"
gateway = "192.0.2.1"
dns = ["192.0.2.1"]
[devices.gate-1.cameras.gate]
source = { uri = "rtsp://gate/stream" }

[devices.yard-1]
cert_file = "pki/clients/yard-1.crt"
key_file = "pki/clients/yard-1.key"
[devices.yard-1.cameras.north]
source = { uri = "rtsp://north/stream" }
detect = { rate_hz = 4 }
[devices.yard-1.cameras.south]
source = { uri = "rtsp://south/stream" }
"""
_ONE = """\
[devices.yard-1]
cert_file = "pki/clients/yard-1.crt"
key_file = "pki/clients/yard-1.key"
"""
_PER_CAMERA = """\
[devices.yard-1.cameras.{camera}]
cert_file = "pki/clients/yard-1-{camera}.crt"
key_file = "pki/clients/yard-1-{camera}.key"
"""


def per_camera(text: str = SITE, *, agents: str = 'agents = "per-camera"\n') -> str:
    """The same site with an agent for each camera of the yard, as all were up to 0.5."""
    text = text.replace(_ONE, f"[devices.yard-1]\n{agents}")
    for camera in ("north", "south"):
        own = _PER_CAMERA.format(camera=camera)
        text = text.replace(own.partition("\n")[0] + "\n", own)
    return text


WIFI = "cctv of the laboratory"
"""Its network: a name long enough not to stand in random bytes by chance."""


def write_site(folder: Path, text: str = SITE) -> Path:
    """The file `site.toml` in a folder."""
    path = folder / "site.toml"
    path.write_text(text, encoding="utf-8")
    return path


CAST = (
    "server localhost",
    "agent gate-1 --site lab --camera gate",
    "agent yard-1 --site lab --camera north --camera south",
)
CAST_PER_CAMERA = (
    *CAST[:2],
    "agent yard-1-north --site lab --camera north",
    "agent yard-1-south --site lab --camera south",
)


def equip(folder: Path, text: str = SITE) -> Path:
    """The site's file with all the files it names: real certificates, real keys."""
    for words in CAST_PER_CAMERA if "per-camera" in text else CAST:
        code, _, complaint = certs(folder / "pki", words)
        assert code == 0, complaint
    SigningKey.generate().write(folder / "keys")
    SigningKey.generate().write(folder / "keys", "release")
    (folder / "wifi.password").write_text("correct horse\n")
    return write_site(folder, text)
