"""Where things lie on a device, as configurations name them."""

from __future__ import annotations

from pathlib import PurePosixPath

from edge_reid.release import device_files

_ROOT = PurePosixPath("/")
CONFIG = _ROOT / device_files.CONFIG
SECRETS = _ROOT / device_files.SECRETS
STATE = _ROOT / device_files.STATE
CURRENT = _ROOT / device_files.CURRENT
"""The release in force: a link."""

CA = SECRETS / "ca.crt"
CERT = SECRETS / "agent.crt"
KEY = SECRETS / "agent.key"
PASSWORD = SECRETS / "broker.password"
GALLERY_PUBLIC_KEY = SECRETS / "gallery-signing.pub"
RELEASE_PUBLIC_KEY = SECRETS / "release-signing.pub"


def gallery(unit: str) -> PurePosixPath:
    """The gallery of an agent, by the name of its unit."""
    return STATE / f"gallery-{unit}.db"


def outbox(unit: str) -> PurePosixPath:
    """The outbox of an agent, by the name of its unit."""
    return STATE / f"outbox-{unit}.db"


def model(name: str) -> PurePosixPath:
    """A model that came with the release in force."""
    return CURRENT / "models" / name
