"""The agents of a device's cameras become one, and one becomes several: nothing is left behind."""

from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support import real_bundles
from support.consumer import eventually
from support.secured_broker import certs
from support.sites import SITE, per_camera, write_site

from deploy.site.site import load_site
from edge_reid.core.types import Template
from edge_reid.gallery.gallery_tables import REPLICA_APPLICATION_ID
from edge_reid.gallery.store import GalleryStore

with pytest.MonkeyPatch.context() as patch:  # for this file only: an `install` is there as well
    patch.syspath_prepend(real_bundles.DEPLOY / "install")
    import inherited_galleries
    from device_paths import Account, DevicePaths
    from install_errors import InstallError
    from install_progress import Steps
    from unpacked_bundle import UnpackedBundle

if TYPE_CHECKING:
    from support.device_root import DeviceRoot

QUICK = ("--patience", "8")
NORTH, SOUTH = 'camera = "north"\n', 'camera = "south"\n'
BOTH = '[cameras.north.source]\nuri = "1"\n[cameras.south.source]\nuri = "2"\n'
PER_CAMERA = {"north": NORTH, "south": SOUTH}
ONE = {"yard-1": BOTH}
GATE = 'camera = "gate"\n'
MODEL_ID, DIMENSION = "0123456789abcdef", 4


def state(device: DeviceRoot, name: str) -> Path:
    return device.root / "var/lib/edge-reid" / name


def agents(device: DeviceRoot) -> dict[str, tuple[str, bool]]:
    """How each is, and whether it starts at boot."""
    names = ("north", "south", "yard-1")
    return {name: (device.state_of(name), device.is_enabled(name)) for name in names}


RUNS, GONE = ("active", True), ("inactive", False)


def write_replica(path: Path, people: str) -> None:
    """A file that is known for the copy of a published gallery."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(f"PRAGMA application_id = {REPLICA_APPLICATION_ID}")
        db.execute("CREATE TABLE people (name TEXT)")
        db.execute("INSERT INTO people VALUES (?)", (people,))


def people_in(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        return [name for (name,) in db.execute("SELECT name FROM people")]


@pytest.fixture
def yard(device: DeviceRoot) -> DeviceRoot:
    """One that runs an agent for each camera, with a copy of the site's gallery each."""
    device.run_systemd()
    outcome = device.install(device.bundle("1.0", cameras=PER_CAMERA), *QUICK)
    assert outcome.code == 0, outcome.said
    for camera in PER_CAMERA:
        write_replica(state(device, f"gallery-{camera}.db"), "ana")
        state(device, f"outbox-{camera}.db").write_text("events")
    return device


def test_agents_become_one_and_one_becomes_several(yard: DeviceRoot) -> None:
    one = yard.bundle("1.1", cameras=ONE)
    write_replica(one / "gallery/gallery.db", "a first gallery replaces nobody")
    real_bundles.write_manifest(one, "1.1")
    outcome = yard.install(one, *QUICK)
    assert outcome.code == 0, outcome.said
    assert agents(yard) == {"north": GONE, "south": GONE, "yard-1": RUNS}
    assert people_in(state(yard, "gallery-yard-1.db")) == ["ana"]
    assert not list(state(yard, "").glob("gallery-*th.db*")), "nobody would erase people there"
    assert state(yard, "outbox-north.db").read_text() == "events"
    state(yard, "outbox-yard-1.db").write_text("more")

    outcome = yard.install(yard.bundle("1.2", cameras=PER_CAMERA), *QUICK)
    assert outcome.code == 0, outcome.said
    assert agents(yard) == {"north": RUNS, "south": RUNS, "yard-1": GONE}
    for camera in PER_CAMERA:
        assert people_in(state(yard, f"gallery-{camera}.db")) == ["ana"]
    assert not list(state(yard, "").glob("gallery-yard-1.db*"))
    assert state(yard, "outbox-yard-1.db").read_text() == "more"


def test_one_agent_that_is_not_well_gives_the_others_back(yard: DeviceRoot) -> None:
    before = yard.fingerprint()
    outcome = yard.install(yard.bundle("1.1", "mute", cameras=ONE), *QUICK)
    assert "edge-reid@yard-1: was not well" in outcome.complaint
    assert (yard.fingerprint(), yard.version) == (before, "1.0")
    assert not list(state(yard, "").glob("gallery-yard-1.db*"))
    for camera in PER_CAMERA:
        assert people_in(state(yard, f"gallery-{camera}.db")) == ["ana"]
    eventually(lambda: agents(yard) == {"north": RUNS, "south": RUNS, "yard-1": GONE})


def test_a_power_cut_gives_the_others_back(yard: DeviceRoot) -> None:
    before = yard.fingerprint()
    yard.loses_power_at("systemctl")
    installer = yard.start(yard.bundle("1.1", cameras=ONE), *QUICK)
    installer.communicate(timeout=120)
    assert state(yard, "gallery-yard-1.db").exists()
    assert not (yard.config.parent / "north.toml").exists()
    yard.boot()
    assert yard.fingerprint() == before
    assert not state(yard, "gallery-yard-1.db").exists()
    assert people_in(state(yard, "gallery-north.db")) == ["ana"]


def test_what_an_installer_did_not_come_to_remove_the_next_one_does(yard: DeviceRoot) -> None:
    """Killed once the upgrade was confirmed, in the midst of looking at what has been replaced."""
    south = state(yard, "gallery-south.db")
    south.unlink()
    os.mkfifo(south)  # who opens it waits
    bundle = yard.bundle("1.1", cameras={"north": BOTH})
    installer = yard.start(bundle, *QUICK)
    eventually(lambda: yard.version == "1.1" and not (yard.home / "upgrade").exists(), 120)
    os.killpg(installer.pid, signal.SIGKILL)
    installer.communicate()
    south.unlink()
    write_replica(south, "ana")
    outcome = yard.install(bundle, *QUICK)
    assert outcome.code == 0, outcome.said
    assert "gallery-south.db: removed, no agent keeps it up to date any more" in outcome.said
    assert not south.exists()
    assert people_in(state(yard, "gallery-north.db")) == ["ana"]
    assert "gallery-" not in yard.install(bundle, *QUICK).said


def test_a_certificate_for_a_key_that_is_there_comes_over_the_air(
    device: DeviceRoot, tmp_path: Path
) -> None:
    """A bundle for all devices has nobody's key."""
    pki = tmp_path / "pki"
    for words in (
        "agent yard-1-north --site lab --camera north",
        "agent yard-1 --site lab --camera north --camera south --instead-of yard-1-north",
        "agent shed-1 --site lab --camera shed",
    ):
        assert certs(pki, words)[0] == 0
    north = {f"yard-1-north.{end}": read(pki, f"yard-1-north.{end}") for end in ("crt", "key")}
    assert device.install(device.bundle("1.0", cameras=PER_CAMERA, secrets=north)).code == 0
    before = device.fingerprint()
    for version, behaviour in (("1.1", "sick"), ("1.2", "well")):
        for_all = device.bundle(
            version, behaviour, cameras={"gate-1/yard-1": BOTH}, secrets={}, box=None
        )
        (for_all / "config/gate-1/agent.crt").write_bytes(read(pki, "yard-1.crt"))
        (for_all / "config/gate-1/other.crt").write_bytes(read(pki, "shed-1.crt"))
        real_bundles.write_manifest(for_all, version, box=None)
        outcome = device.install(for_all)
        assert "other.crt: no key on this device belongs to it" in outcome.said
        if behaviour == "sick":
            assert device.fingerprint() == before
    secrets = device.config.parent / "secrets"
    assert read(pki, "yard-1.crt") == (secrets / "agent.crt").read_bytes()
    assert read(pki, "yard-1.key") == (secrets / "agent.key").read_bytes()
    assert (secrets / "agent.key").stat().st_mode & 0o777 == 0o600
    assert {file.name for file in secrets.iterdir()} == {*north, "agent.crt", "agent.key"}


def test_a_certificate_that_stays_though_another_is_delivered_is_said(
    device: DeviceRoot, tmp_path: Path
) -> None:
    """As when the agent watches another camera by now: it has another name at the broker."""
    pki = tmp_path / "pki"
    assert certs(pki, "agent gate-1 --site lab --camera gate")[0] == 0
    old = {f"agent.{end}": read(pki, f"gate-1.{end}") for end in ("crt", "key")}
    assert device.install(device.bundle("1.0", secrets=old)).code == 0

    def install_for_all(version: str, certificate: bytes) -> str:
        for_all = device.bundle(version, cameras={"gate-1/gate": GATE}, secrets={}, box=None)
        (for_all / "config/gate-1/agent.crt").write_bytes(certificate)
        real_bundles.write_manifest(for_all, version, box=None)
        outcome = device.install(for_all)
        assert outcome.code == 0, outcome.said
        assert (device.config.parent / "secrets/agent.crt").read_bytes() == old["agent.crt"]
        return str(outcome.said)

    assert "agent.crt" not in install_for_all("1.1", old["agent.crt"])
    assert certs(pki, "agent gate-1 --site lab --camera gate --camera pond")[0] == 0
    assert (
        "agent.crt: is another than the one on this device, which stays; a bundle for this device "
        "alone, or flash --host, brings it with its key"
    ) in install_for_all("1.2", read(pki, "gate-1.crt"))


def read(pki: Path, name: str) -> bytes:
    return (pki / "clients" / name).read_bytes()


def enrol(path: Path, *names: str) -> None:
    """Into a gallery of the device's own."""
    with GalleryStore.create(path, MODEL_ID, DIMENSION) as store:
        for name in names:
            vector = np.eye(DIMENSION, dtype=np.float32)[len(name) % DIMENSION]
            photo = hashlib.sha256(name.encode()).hexdigest()
            store.add_all([Template(name, vector, MODEL_ID, 0.7, photo, 100.0)])


def test_people_who_were_enrolled_at_one_camera_are_known_at_all(tmp_path: Path) -> None:
    """The new release's own program joins the galleries."""
    device = DevicePaths(tmp_path)
    for folder in (device.config, device.state, tmp_path / "release/bin"):
        folder.mkdir(parents=True)
    program = Path(sys.executable).with_name("edge-reid")
    (tmp_path / "release/bin/edge-reid").symlink_to(program)
    for camera, text in PER_CAMERA.items():
        (device.config / f"{camera}.toml").write_text(text)
    enrol(device.gallery("north"), "ana", "bo")
    enrol(device.gallery("south"), "bo", "carla")
    folder = real_bundles.unpack_into(tmp_path / "bundle", "1.1", [], configs=ONE)
    inheritance = inherited_galleries.Inheritance.of(UnpackedBundle.open(folder), device)
    assert inheritance.heirs == {device.gallery("yard-1")}
    inheritance.bring(tmp_path / "release", Account.of(device), Steps())
    with GalleryStore.open(device.gallery("yard-1")) as store:
        assert sorted(template.identity for template in store.templates()) == ["ana", "bo", "carla"]
    for camera in PER_CAMERA:
        (device.config / f"{camera}.toml").unlink()
    inheritance.note_replaced()
    inheritance.retire(Steps())
    assert device.gallery("north").exists(), "a gallery of the device's own is nobody else's"


def two_agents(root: Path, wanted: dict[str, str]) -> tuple[DevicePaths, UnpackedBundle]:
    """A folder for a device with an agent for each camera, and a bundle with others."""
    device = DevicePaths(root / "device")
    for folder in (device.config, device.state):
        folder.mkdir(parents=True)
    for camera, text in PER_CAMERA.items():
        (device.config / f"{camera}.toml").write_text(text)
    folder = real_bundles.unpack_into(root / "bundle", "1.1", [], configs=wanted)
    return device, UnpackedBundle.open(folder)


def test_a_gallery_that_is_damaged_is_said_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    device, bundle = two_agents(tmp_path, ONE)
    device.gallery("south").write_text("no database at all")
    os.utime(device.gallery("south"), (1, 1))
    enrol(device.gallery("north"), "ana")
    inheritance = inherited_galleries.Inheritance.of(bundle, device)
    with pytest.raises(InstallError, match=r"gallery-south\.db: expected a gallery, got: .*; "):
        inheritance.bring(tmp_path / "release", Account.of(device), Steps())

    device.gallery("north").unlink()
    write_replica(device.gallery("north"), "ana")
    inheritance.bring(tmp_path / "release", Account.of(device), Steps())
    for camera in PER_CAMERA:
        (device.config / f"{camera}.toml").unlink()
    inheritance.note_replaced()
    inheritance.retire(Steps())  # the upgrade is good by now, whatever is found
    assert not device.gallery("north").exists()
    assert device.gallery("south").exists()
    assert "gallery-south.db: expected a gallery" in capsys.readouterr().err


def test_an_agent_named_like_one_of_before_keeps_its_gallery_and_the_other_is_not_forgotten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A device that is called as one of its cameras."""
    device, bundle = two_agents(tmp_path, {"north": BOTH})
    for camera, name in (("north", "ana"), ("south", "bo")):
        write_replica(device.gallery(camera), name)
    inheritance = inherited_galleries.Inheritance.of(bundle, device)
    inheritance.bring(tmp_path / "release", Account.of(device), Steps())
    (device.config / "south.toml").unlink()
    inheritance.note_replaced()
    inheritance.retire(Steps())
    assert people_in(device.gallery("north")) == ["ana"]
    assert not device.gallery("south").exists(), "nobody would erase people there"
    galleries = [trace for trace in inheritance.traces if trace.path.parent == device.state]
    assert galleries == [], "what is there already is not taken away again"

    device.gallery("north").unlink()
    (device.config / "south.toml").write_text(SOUTH)
    enrol(device.gallery("north"), "ana")
    enrol(device.gallery("south"), "bo")
    inheritance = inherited_galleries.Inheritance.of(bundle, device)
    (device.config / "south.toml").unlink()
    inheritance.note_replaced()
    inheritance.retire(Steps())
    said = capsys.readouterr().err
    assert "gallery-south.db: stays; gallery-north.db knows nobody who is enrolled only" in said
    assert "edge-reid gallery export" in said


@pytest.mark.parametrize("text", [SITE, per_camera()])
def test_cameras_are_known_by_what_a_bundle_writes(tmp_path: Path, text: str) -> None:
    for agent in load_site(write_site(tmp_path, text)).agents("yard-1"):
        config = tmp_path / agent.path.name
        config.write_text(agent.text)
        assert inherited_galleries.cameras_in(config) == agent.settings.cameras.keys()


def test_the_installer_knows_the_copy_of_a_gallery_by_its_number() -> None:
    assert inherited_galleries.REPLICA_APPLICATION_ID == REPLICA_APPLICATION_ID
