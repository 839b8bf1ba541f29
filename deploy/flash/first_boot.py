"""What a device is told when it starts first, and the files that tell it."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from deploy.flash.wifi import FixedAddress, Wifi

FOLDER = "edge-reid"
"""Of the boot partition."""
SETTINGS = f"{FOLDER}/settings"
BUNDLE = f"{FOLDER}/box.tar"
OPTIONAL = tuple(
    f"{FOLDER}/{name}" for name in ("wifi.nmconnection", "cable.nmconnection", "authorized_keys")
)
"""Left from another setup, they must not be taken for ours."""
_GROUPS = "adm,dialout,sudo,video,plugdev,netdev,render,gpio,i2c,spi"


@dataclass(frozen=True, slots=True)
class Login:
    """Who installs and mends devices."""

    user: str
    authorized_keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tar:
    """The bundle as a plain tar, which every device can unpack."""

    path: Path
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class FirstBoot:
    """All that a device is told."""

    hostname: str
    tar: Tar
    login: Login | None = None
    wifi: Wifi | None = None
    fixed_address: FixedAddress | None = None
    timezone: str | None = None

    @property
    def country(self) -> str | None:
        """Whose radio rules hold."""
        return self.wifi.country if self.wifi else None


@dataclass(frozen=True, slots=True)
class BootFile:
    """One file for the boot partition."""

    name: str
    content: bytes | Tar
    is_secret: bool = False
    """The device wipes it from the boot partition when it starts first."""

    @property
    def size_bytes(self) -> int:
        return len(self.content) if isinstance(self.content, bytes) else self.content.size_bytes

    @property
    def sha256(self) -> str:
        if isinstance(self.content, bytes):
            return hashlib.sha256(self.content).hexdigest()
        return self.content.sha256


def setup_files(first: FirstBoot, setup_id: str) -> Iterator[BootFile]:
    """What `setup.sh` needs, on every generation of Pi OS."""
    yield BootFile(BUNDLE, first.tar, is_secret=True)
    if first.wifi:
        connection = first.wifi.connection().encode()
        yield BootFile(f"{FOLDER}/wifi.nmconnection", connection, is_secret=True)
    if first.fixed_address:
        yield BootFile(f"{FOLDER}/cable.nmconnection", first.fixed_address.connection().encode())
    if first.login:
        keys = "".join(f"{key}\n" for key in first.login.authorized_keys)
        yield BootFile(f"{FOLDER}/authorized_keys", keys.encode())
    yield BootFile(SETTINGS, _settings(first, setup_id))
    for name in ("setup.sh", "edge-reid-setup.service"):
        yield BootFile(f"{FOLDER}/{name}", files("deploy.flash").joinpath(name).read_bytes())


def first_run_files() -> Iterator[BootFile]:
    """For images without cloud-init: what `systemd.run` runs, called as Imager calls it."""
    script = f'#!/bin/sh\nexec sh "$(dirname "$0")/{FOLDER}/setup.sh" first-boot\n'
    yield BootFile("firstrun.sh", script.encode())


def cloud_init_files(first: FirstBoot, setup_id: str) -> Iterator[BootFile]:
    """For images with cloud-init. None is secret: those are `setup.sh`'s alone, which wipes them.

    JSON is YAML in which no character of a name or a key means anything.
    """
    user_data: dict[str, Any] = {"hostname": first.hostname, "manage_etc_hosts": "localhost"}
    user_data |= {"timezone": first.timezone} if first.timezone else {}
    user_data |= {"ssh_pwauth": False, "users": [_cloud_user(first.login)]} if first.login else {}
    user_data["runcmd"] = [["sh", f"/boot/firmware/{FOLDER}/setup.sh", "first-boot"]]
    yield BootFile("user-data", b"#cloud-config\n" + _json(user_data))
    yield BootFile("network-config", _json(_network(first.fixed_address)))
    yield BootFile("meta-data", _json({"dsmode": "local", "instance-id": instance_of(setup_id)}))


def instance_of(setup_id: str) -> str:
    """What cloud-init takes the installation for; another one is set up anew."""
    return f"edge-reid-{setup_id}"


def setup_id_in(settings: bytes | None) -> str | None:
    """Of the settings that lie on a card."""
    found = re.search(rb"^SEED=([0-9a-f]+)$", settings or b"", re.MULTILINE)
    return found[1].decode() if found else None


def _settings(first: FirstBoot, setup_id: str) -> bytes:
    words = {
        "HOST": first.hostname,
        "LOGIN": first.login.user if first.login else "",
        "TIMEZONE": first.timezone or "",
        "COUNTRY": first.country or "",
        "BUNDLE_SHA256": first.tar.sha256,
        "SEED": setup_id,
    }
    return "".join(f"{key}={shlex.quote(value)}\n" for key, value in words.items()).encode()


def _cloud_user(login: Login) -> dict[str, Any]:
    return {
        "name": login.user,
        "groups": _GROUPS,
        "shell": "/bin/bash",
        "lock_passwd": True,
        "sudo": "ALL=(ALL) NOPASSWD:ALL",
        "ssh_authorized_keys": list(login.authorized_keys),
    }


def _network(fixed: FixedAddress | None) -> dict[str, Any]:
    """The cable; a device without one waits for nothing."""
    cable: dict[str, Any] = {"optional": True, "dhcp4": fixed is None}
    if fixed:
        cable["addresses"] = [fixed.address]
        cable |= {"routes": [{"to": "default", "via": fixed.gateway}]} if fixed.gateway else {}
        cable |= {"nameservers": {"addresses": list(fixed.dns)}} if fixed.dns else {}
    return {"version": 2, "ethernets": {"eth0": cable}}


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()
