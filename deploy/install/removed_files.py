"""What earlier bundles brought to a box and a new one has not: it goes. What was made on the box
stays, and what was changed there is put aside.

Every release writes down what bundles have brought so far and is still there, as a bundle for all
boxes has no secrets, and those of the one before are to be known to the one after.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from device_paths import Box, agent_unit
from install_progress import Steps
from journal import Change
from unpacked_bundle import Parcel, sha256_of

RECORD = "brought.json"
SCHEMA = "edge-reid.brought/1"
TRIGGERS = (".path", ".timer")

Brought = dict[Path, str]
"""Files outside the releases, and the SHA-256 that they came with."""


def changes(
    parcel: Parcel, release: Path, box: Box, brought: Sequence[Change], steps: Steps
) -> Iterator[Change]:
    """What goes now that a bundle brings those files, and the record of it."""
    now = {it.path: hashlib.sha256(it.body).hexdigest() for it in brought}
    others = {path: came for path, came in _before(box).items() if path not in now}
    stay = {path: came for path, came in others.items() if _stays(path, parcel, box)}
    for path in sorted(others.keys() - stay.keys()):
        if path.is_file() or path.is_symlink():
            yield from _removal(path, others[path], box, steps)
    yield Change(release / RECORD, _as_json(stay | now, box), mode=0o600)


def units_to_stop(done: Sequence[Change], box: Box) -> tuple[str, ...]:
    """Agents of cameras that are gone, and what would start a service that is gone. The service
    itself may be what we run in, and ends by itself.
    """
    gone = [it.path for it in done if it.is_gone]
    agents = [agent_unit(it.stem) for it in gone if it.parent == box.config and _is_config(it)]
    triggers = [it.name for it in gone if it.parent == box.units and it.suffix in TRIGGERS]
    return (*agents, *triggers)


def _before(box: Box) -> Brought:
    """As the release that runs has it. Those of 0.2 have no record; their manifest says as much."""
    record = box.current / RECORD
    if record.exists():
        files: dict[str, str] = json.loads(record.read_text(encoding="utf-8"))["files"]
        return {box.root / name: came for name, came in files.items()}
    return dict(_by_manifest(box)) if box.current_version() else {}


def _by_manifest(box: Box) -> Iterator[tuple[Path, str]]:
    for entry, path in Parcel.open(box.current).outside(box):
        yield path, entry.sha256
        if _is_config(path):
            yield path.with_name(f"{path.name}.new"), entry.sha256


def _stays(path: Path, parcel: Parcel, box: Box) -> bool:
    """Whether the bundle says nothing about a file that it does not bring."""
    if path.parent == box.secrets:
        return not parcel.box
    if path.parent == box.config:
        configs = parcel.configs(box.name)
        has_changed_here = path.name in {it.name for it in configs}
        return has_changed_here or not (configs or parcel.box)
    return False


def _removal(path: Path, came: str, box: Box, steps: Steps) -> Iterator[Change]:
    line = f"{path}: is not in this bundle and is removed"
    if is_camera := path.parent == box.config and _is_config(path):
        line = f"camera {path.stem}: is not in this bundle: its agent stops, what it has seen stays"
        line += f" in {box.state}"
    if path.is_symlink() or sha256_of(path) != came:
        aside = path.with_name(f"{path.name}.removed")
        line += f"; {path.name} was changed on this box: kept as {aside}"
        yield _copy(path, aside)
    steps.say(line)
    yield Change(path, is_gone=True)
    unit = agent_unit(path.stem) if is_camera else path.name
    links = (wants / unit for wants in box.units.glob("*.wants"))
    yield from (Change(it, is_gone=True) for it in links if it.is_symlink())


def _copy(path: Path, aside: Path) -> Change:
    if path.is_symlink():
        return Change(aside, link=str(path.readlink()))
    its = path.stat()
    owner = its.st_uid, its.st_gid
    return Change(aside, path.read_bytes(), mode=its.st_mode & 0o777, owner=owner)


def _as_json(brought: Mapping[Path, str], box: Box) -> bytes:
    files = {str(path.relative_to(box.root)): brought[path] for path in sorted(brought)}
    return json.dumps({"schema": SCHEMA, "files": files}, indent=1).encode()


def _is_config(path: Path) -> bool:
    return path.suffix == ".toml"
