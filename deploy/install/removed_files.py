"""What earlier bundles brought to a device and a new one has not: it goes. What was made on the
device stays, and what was changed there is put aside.

Every release writes down what bundles have brought so far and is still there, as a bundle for all
devices has no secrets, and those of the one before are to be known to the one after.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from device_paths import DevicePaths, agent_unit
from install_progress import Steps
from journal import Change
from unpacked_bundle import UnpackedBundle, sha256_of

RECORD = "brought.json"
SCHEMA = "edge-reid.brought/1"
TRIGGERS = (".path", ".timer")

Brought = dict[Path, str]
"""Files outside the releases, and the SHA-256 that they came with."""


def changes(
    bundle: UnpackedBundle,
    release: Path,
    device: DevicePaths,
    brought: Sequence[Change],
    steps: Steps,
) -> Iterator[Change]:
    """What goes now that a bundle brings those files, and the record of it."""
    now = {change.path: hashlib.sha256(change.body).hexdigest() for change in brought}
    others = {path: came for path, came in _before(device).items() if path not in now}
    stay = {path: came for path, came in others.items() if _stays(path, bundle, device)}
    for path in sorted(others.keys() - stay.keys()):
        if path.is_file() or path.is_symlink():
            yield from _removal(path, others[path], device, steps)
    yield Change(release / RECORD, _as_json(stay | now, device), mode=0o600)


def units_to_stop(done: Sequence[Change], device: DevicePaths) -> tuple[str, ...]:
    """Agents that are gone, and what would start a service that is gone. The service
    itself may be what we run in, and ends by itself.
    """
    gone = [change.path for change in done if change.is_gone]
    agents = [
        agent_unit(path.stem) for path in gone if path.parent == device.config and _is_config(path)
    ]
    triggers = [
        path.name for path in gone if path.parent == device.units and path.suffix in TRIGGERS
    ]
    return (*agents, *triggers)


def _before(device: DevicePaths) -> Brought:
    """As the release that runs has it. Those of 0.2 have no record; their manifest says as much."""
    record = device.current / RECORD
    if record.exists():
        files: dict[str, str] = json.loads(record.read_text(encoding="utf-8"))["files"]
        return {device.root / name: came for name, came in files.items()}
    return dict(_by_manifest(device)) if device.current_version() else {}


def _by_manifest(device: DevicePaths) -> Iterator[tuple[Path, str]]:
    for entry, path in UnpackedBundle.open(device.current).outside(device):
        yield path, entry.sha256
        if _is_config(path):
            yield path.with_name(f"{path.name}.new"), entry.sha256


def _stays(path: Path, bundle: UnpackedBundle, device: DevicePaths) -> bool:
    """Whether the bundle says nothing about a file that it does not bring."""
    if path.parent == device.secrets:
        return not bundle.device
    if path.parent == device.config:
        configs = bundle.configs(device.name)
        has_changed_here = path.name in {config.name for config in configs}
        return has_changed_here or not (configs or bundle.device)
    return False


def _removal(path: Path, came: str, device: DevicePaths, steps: Steps) -> Iterator[Change]:
    line = f"{path}: is not in this bundle and is removed"
    if is_agent := path.parent == device.config and _is_config(path):
        line = f"edge-reid@{path.stem}: is not in this bundle: it stops, what it has seen stays"
        line += f" in {device.state}"
    if path.is_symlink() or sha256_of(path) != came:
        aside = path.with_name(f"{path.name}.removed")
        line += f"; {path.name} was changed on this device: kept as {aside}"
        yield _copy(path, aside)
    steps.say(line)
    yield Change(path, is_gone=True)
    unit = agent_unit(path.stem) if is_agent else path.name
    links = (wants / unit for wants in device.units.glob("*.wants"))
    yield from (Change(link, is_gone=True) for link in links if link.is_symlink())


def _copy(path: Path, aside: Path) -> Change:
    if path.is_symlink():
        return Change(aside, link=str(path.readlink()))
    its = path.stat()
    owner = its.st_uid, its.st_gid
    return Change(aside, path.read_bytes(), mode=its.st_mode & 0o777, owner=owner)


def _as_json(brought: Mapping[Path, str], device: DevicePaths) -> bytes:
    files = {str(path.relative_to(device.root)): brought[path] for path in sorted(brought)}
    return json.dumps({"schema": SCHEMA, "files": files}, indent=1).encode()


def _is_config(path: Path) -> bool:
    return path.suffix == ".toml"
