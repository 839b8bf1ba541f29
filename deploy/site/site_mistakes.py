"""Mistakes in a site's file that are no single key's, found whether or not its keys are right."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from deploy.site.agent_config import Carried, Table
from deploy.site.device_specs import DeviceTables, SharedTables, device_specs
from edge_reid.core.names import NAME_PATTERN
from edge_reid.core.redact import redact

HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_OF_CAMERA = ("cert_file", "key_file")
_FILE_KEYS = (*_OF_CAMERA, "password_file")


def old_words(table: Table) -> Iterator[str]:
    """What is called otherwise now."""
    if "boxes" in table:
        yield "boxes: is called devices now: [devices.NAME], [devices.NAME.cameras.CAMERA]"


def mistakes_between(table: Table) -> Iterator[str]:
    """What is wrong with the agents that the tables make, and between devices."""
    devices = _tables(table.get("devices"))
    shared = _shared(table)
    agents: list[str] = []
    for written, device in devices.items():
        name = redact(written)  # people write an address there
        yield from _certificate_mistakes(shared.site, name, device)
        yield from _group_mistakes(name, device, table)
        if "hostname" not in device and not HOST_NAME.fullmatch(name):
            yield f"devices.{name}.hostname: is missing, the name of the device cannot be one"
        for spec in device_specs(shared, _device(name, device)) if _is_named(name, device) else ():
            agents.append(spec.agent)
            yield from spec.mistakes()
    yield from _twice_in(table, devices, agents)


def missing_files(table: Table, name: str, folder: Path) -> Iterator[str]:
    """Files that a device is to get and that cannot be read.

    Args:
        table: of the site.
        name: of the device.
        folder: that relative paths begin at.
    """
    device = as_table(as_table(table.get("devices")).get(name))
    place = f"devices.{name}"
    cameras = _tables(device.get("cameras"))
    files = [
        *((f"files.{key}", path) for key, path in as_table(table.get("files")).items()),
        *((f"{place}.{key}", device.get(key)) for key in _FILE_KEYS),
        *(
            (f"{place}.cameras.{camera}.{key}", its.get(key))
            for camera, its in cameras.items()
            for key in _OF_CAMERA
        ),
    ]
    for where, path in files:
        if isinstance(path, str):
            there = folder / Path(path).expanduser()
            if not os.access(there, os.R_OK):
                yield f"{where}: {there} cannot be read; is the path right?"


def as_table(value: Any) -> dict[str, Any]:
    """A table of the file, empty where there is something else."""
    return value if isinstance(value, dict) else {}


def _tables(value: Any) -> dict[str, dict[str, Any]]:
    return {name: as_table(table) for name, table in as_table(value).items()}


def _is_named(name: str, device: Table) -> bool:
    """Whether agents can be made of it: it has cameras, and all have names that can be."""
    cameras = as_table(device.get("cameras"))
    return bool(cameras) and all(re.fullmatch(NAME_PATTERN, word) for word in (name, *cameras))


def _shared(table: Table) -> SharedTables:
    files = as_table(table.get("files"))
    carried = Carried(
        ca="ca_file" in files,
        gallery_key="gallery_public_key" in files,
        release_key="release_public_key" in files,
    )
    site = table.get("site")
    is_name = isinstance(site, str) and re.fullmatch(NAME_PATTERN, site)
    return SharedTables(str(site) if is_name else "site", as_table(table.get("agent")), carried)


def _device(name: str, device: Table) -> DeviceTables:
    cameras = _tables(device.get("cameras"))
    return DeviceTables(
        name,
        "per-camera" if device.get("agents") == "per-camera" else "one",
        as_table(device.get("agent")),
        {
            camera: {key: value for key, value in its.items() if key not in _OF_CAMERA}
            for camera, its in cameras.items()
        },
        frozenset(camera for camera, its in cameras.items() if "cert_file" in its),
    )


def _certificate_mistakes(site: str, name: str, device: Table) -> Iterator[str]:
    cameras = _tables(device.get("cameras"))
    own = [camera for camera, its in cameras.items() if "cert_file" in its or "key_file" in its]
    if len(cameras) < 2:  # noqa: PLR2004 - several
        return
    if device.get("agents") != "per-camera":
        wanted = " ".join(f"--camera {camera}" for camera in sorted(cameras))
        for camera in own:
            yield (
                f"devices.{name}.cameras.{camera}.cert_file: expected one certificate for all "
                f"cameras, which are one agent; set cert_file and key_file of the device (certs.py "
                f'agent {name} --site {site} {wanted}), or agents = "per-camera"'
            )
    elif "cert_file" in device and len(cameras) - len(own) > 1:
        yield (
            f"devices.{name}.cert_file: has several agents; give each camera a cert_file and "
            "key_file of its own"
        )


def _group_mistakes(name: str, device: Table, table: Table) -> Iterator[str]:
    group, rollout = device.get("group"), as_table(table.get("rollout"))
    groups = rollout.get("groups", [])
    is_list = isinstance(groups, list) and all(isinstance(word, str) for word in groups)
    if not is_list or not isinstance(group, str) or group in groups:  # or has its own mistake
        return
    known = f"one of {', '.join(map(str, groups))}" if groups else "[rollout] with groups"
    yield f"devices.{name}.group: expected {known}, got {group}; add it to rollout.groups"


def _twice_in(table: Table, devices: Mapping[str, Table], agents: Iterable[str]) -> Iterator[str]:
    groups = as_table(table.get("rollout")).get("groups", [])
    yield from _taken_twice("rollout.groups", groups if isinstance(groups, list) else [])
    hostnames = (device.get("hostname", name) for name, device in devices.items())
    yield from _taken_twice("hostname", hostnames)
    cameras = (camera for device in devices.values() for camera in as_table(device.get("cameras")))
    yield from _taken_twice("camera", cameras)
    yield from _taken_twice("agent", agents)
    addresses = (device["address"] for device in devices.values() if "address" in device)
    yield from _taken_twice("address", addresses)


def _taken_twice(what: str, names: Iterable[Any]) -> Iterator[str]:
    for name, count in Counter(name for name in names if isinstance(name, str)).items():
        if count > 1:
            yield f"devices: {what} {name} is there {count} times; each needs its own"
