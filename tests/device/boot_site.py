"""The site of a device that is booted, and the bundles for it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from bundle_test import edge_reid
from support import real_bundles
from support.cards import tool
from support.flashing import PASSWORD, PSK
from support.secured_broker import SecuredMosquitto, certs
from virtual_device import ADDRESS, HOST

from deploy.bundle.own_wheel import own_wheel
from edge_reid.signing.keys import SigningKey

BOX = "gate-1"
SITE = f"""\
site = "lab"
target = "pi-bookworm"
[agent.mqtt]
url = "mqtts://{HOST}:{{port}}"
[agent.detect]
rate_hz = 4
[files]
ca_file = "pki/ca.crt"
release_public_key = "keys/release-signing.pub"
gallery = "gallery.db"
[wifi]
ssid = "cctv"
password_file = "wifi.password"
country = "DE"
[ssh]
user = "installer"
authorized_keys = ["{{public_key}}"]
[devices.{BOX}]
hostname = "camera-17"
timezone = "Europe/Berlin"
address = "{ADDRESS}/24"
gateway = "{HOST}"
cert_file = "pki/clients/{BOX}.crt"
key_file = "pki/clients/{BOX}.key"
cameras.gate.source.uri = "/srv/campus.mp4"
"""


class BootSite:
    """Args:
    folder: where all of it lies; `gallery.db` does already.
    port: of the broker.
    public_key: of the installer, for ssh.
    """

    def __init__(self, folder: Path, port: int, public_key: str) -> None:
        self._folder = folder
        self.broker = SecuredMosquitto(folder, port=port)
        # clients dial the address that the device sees
        code, _, complaint = certs(self.broker.pki, f"server localhost 127.0.0.1 {HOST}")
        assert code == 0, complaint
        if not (folder / "keys").exists():
            SigningKey.generate().write(folder / "keys", "release")
        (folder / "wifi.password").write_text(f"{PASSWORD}\n")
        self.config.write_text(SITE.format(port=port, public_key=public_key))

    @property
    def config(self) -> Path:
        return self._folder / "site.toml"

    @property
    def secrets(self) -> tuple[bytes, bytes]:
        """The Wi-Fi key, and from the middle of the agent's private key."""
        key = (self.broker.pki / f"clients/{BOX}.key").read_bytes()
        return PSK.encode(), key.splitlines()[1]

    def bundle(self, version: str | None = None) -> Path:
        """Of this checkout, or of the same under another version."""
        out = self._folder / f"{BOX}-{version or 'own'}.tar.zst"
        words = ["--config", self.config, "--device", BOX, "--out", out]
        words += ["--key", self._folder / "keys/release-signing.key"]
        words += ["--lock", self._folder / "lock"]
        with own_wheel(None) as own:
            wheel = (
                real_bundles.as_version(own.path, version, self._folder) if version else own.path
            )
            edge_reid("bundle", *words, "--wheel", wheel)
        return out

    def flash_words(self, bundle: Path, *words: object) -> list[str]:
        """A command line of `edge-reid flash`."""
        named = ("--config", self.config, "--device", BOX, "--bundle", bundle)
        return ["flash", *map(str, (*named, *words))]

    def card(self, image: Path, bundle: Path, card: Path, size_bytes: int) -> None:
        """Write and seed a card."""
        card.unlink(missing_ok=True)
        with card.open("wb") as file:
            file.truncate(size_bytes)
        device = tool("losetup", "--find", "--show", card).strip()
        try:
            where = ("--image", image, "--card", device, "--really", device)
            edge_reid(*self.flash_words(bundle, *where))
        finally:
            subprocess.run(["losetup", "--detach", device], check=True)
