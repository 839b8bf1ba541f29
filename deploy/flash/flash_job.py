"""What somebody asked for: one device of a site, and the bundle that it gets."""

from __future__ import annotations

import getpass
import sys
from dataclasses import dataclass
from pathlib import Path

from deploy.flash.first_boot import FirstBoot, Login, Tar
from deploy.flash.flash_progress import bar
from deploy.flash.verified_bundle import VerifiedBundle
from deploy.flash.wifi import FixedAddress, Wifi
from deploy.site.site import Site, load_site
from edge_reid.core.errors import UsageError
from edge_reid.core.text_file import read_text_file


@dataclass(frozen=True, slots=True)
class FlashJob:
    """All that is known before anything is written."""

    site: Site
    device: str
    bundle: VerifiedBundle

    @classmethod
    def read(cls, config: Path, device: str, bundle: Path) -> FlashJob:
        """Checked: the site's file, the device in it, the whole bundle.

        Raises:
            ConfigError: the file has mistakes.
            UsageError: it has no such device.
            BundleError: the bundle is damaged, forged, or not for this device.
        """
        site = load_site(config)
        site.device(device)
        with bar("checking the bundle") as progress:
            return cls(site, device, VerifiedBundle.checked(bundle, site, device, progress))

    @property
    def title(self) -> str:
        """`device gate-1 of lab (pi-bookworm), release 1.2.0`."""
        manifest = self.bundle.manifest
        of_site = f"{self.site.site} ({manifest.target})"
        return f"device {self.device} of {of_site}, release {manifest.version}"

    def check_starts_from_card(self) -> None:
        """Raise UsageError unless the device is one that starts from a card."""
        target = self.site.target_of(self.device)
        if not target.startswith("pi-"):
            raise UsageError(
                f"device {self.device}: is a {target}, which does not start from a card of a "
                "Raspberry Pi; use --host user@address"
            )

    def first_boot(self, tar: Tar, *, asks: bool) -> FirstBoot:
        """What the device is told; asks for the Wi-Fi password if it must and may.

        Raises:
            UsageError: the password cannot be had, or is none.
        """
        device, ssh = self.site.device(self.device), self.site.ssh
        return FirstBoot(
            hostname=self.site.hostname_of(self.device),
            tar=tar,
            login=Login(ssh.user, ssh.authorized_keys) if ssh else None,
            wifi=self._wifi(asks=asks),
            fixed_address=FixedAddress(device.address, device.gateway, device.dns)
            if device.address
            else None,
            timezone=device.timezone,
        )

    def _wifi(self, *, asks: bool) -> Wifi | None:
        wifi = self.site.wifi
        if wifi is None:
            return None
        if wifi.password_file:
            return Wifi.from_password(wifi.ssid, wifi.country, _first_line(wifi.password_file))
        if not asks:
            return Wifi(wifi.ssid, wifi.country, psk="0" * 64)
        password = asked_for(f"Password of Wi-Fi {wifi.ssid}: ", "wifi.password_file")
        return Wifi.from_password(wifi.ssid, wifi.country, password)


def asked_for(prompt: str, instead: str) -> str:
    """A secret from the keyboard, which does not show.

    Raises:
        UsageError: nobody sits there; `instead` says what else to do.
    """
    if not sys.stdin.isatty():
        raise UsageError(f"{prompt.strip(': ')}: cannot be asked for without a terminal; {instead}")
    return getpass.getpass(prompt)


def _first_line(path: Path) -> str:
    try:
        lines = read_text_file(path).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UsageError(f"wifi.password_file {path}: cannot be read: {reason}") from error
    if not lines:
        raise UsageError(f"wifi.password_file {path}: expected the password in its first line")
    return lines[0]
