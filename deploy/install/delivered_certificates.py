"""Certificates that come with a bundle for all devices, which has no keys.

A device that has the key of one takes it: so an agent that takes over the cameras of others can log
in at the broker with a key that is there. Where another certificate is there already, it stays, and
that is said: a bundle for the device alone replaces it, with its key.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

from device_paths import Account, DevicePaths
from install_progress import Steps
from journal import Change
from unpacked_bundle import UnpackedBundle


def changes(
    bundle: UnpackedBundle, device: DevicePaths, account: Account, steps: Steps
) -> Iterator[Change]:
    """The certificates that are new to the device, each with its key."""
    for certificate in bundle.certificates(device.name):
        there = device.secrets / certificate.name
        if there.exists():
            if there.read_bytes() != certificate.read_bytes():
                steps.say(
                    f"{certificate.name}: is another than the one on this device, which stays; a "
                    "bundle for this device alone, or flash --host, brings it with its key"
                )
            continue
        key = next((key for key in _keys(device) if _belongs_to(key, certificate)), None)
        if key is None:
            steps.say(f"{certificate.name}: no key on this device belongs to it, it is left out")
            continue
        owner = account.uid, account.gid
        yield Change(there, certificate.read_bytes())
        yield Change(there.with_suffix(".key"), key.read_bytes(), mode=0o600, owner=owner)


def _keys(device: DevicePaths) -> list[Path]:
    return sorted(device.secrets.glob("*.key"))


def _belongs_to(key: Path, certificate: Path) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except (OSError, ValueError):
        return False
    return True
