"""What an earlier bundle brought and a later one has no more, and what was made on the device."""

from __future__ import annotations

import fcntl
import json
import shutil
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import real_bundles

if TYPE_CHECKING:  # another test has put deploy/install, and its install.py, on the path
    from support.device_root import DeviceRoot

QUICK = ("--patience", "8")
GUARD_BEFORE = Path(__file__).parents[2] / "support" / "journal_0_2_0.py"
"""The guard of release 0.2.0, as it lies on devices."""


def etc(device: DeviceRoot, name: str) -> Path:
    return device.root / "etc/edge-reid" / name


def without_record(device: DeviceRoot) -> None:
    """As a release before 0.3 lies there: it did not write down what it brought."""
    (device.home / "current/brought.json").unlink()


def test_a_camera_that_was_renamed(device: DeviceRoot) -> None:
    device.run_systemd()
    device.install(device.bundle("1.0"), *QUICK)
    (device.root / "var/lib/edge-reid/outbox-gate.db").write_text("events")
    outcome = device.install(device.bundle("1.1", cameras=["door"]), *QUICK)
    assert outcome.code == 0, outcome.said
    assert "edge-reid@gate: is not in this bundle: it stops" in outcome.said
    assert not device.config.exists()
    assert (device.state_of("gate"), device.state_of("door")) == ("inactive", "active")
    assert (device.is_enabled("gate"), device.is_enabled("door")) == (False, True)
    assert (device.root / "var/lib/edge-reid/outbox-gate.db").read_text() == "events"


@pytest.mark.parametrize("recorded", [True, False])
def test_secrets_and_units_that_the_bundle_has_no_more(
    device: DeviceRoot, *, recorded: bool
) -> None:
    units = device.root / "etc/systemd/system"
    old = device.bundle("1.0", units=["edge-reid-old.timer", "edge-reid-old.service"])
    device.install(old)
    (units / "timers.target.wants").mkdir()
    (units / "timers.target.wants/edge-reid-old.timer").symlink_to("../edge-reid-old.timer")
    recorded or without_record(device)
    outcome = device.install(device.bundle("1.1", secrets={"agent.key": b"new"}))
    assert outcome.code == 0, outcome.said
    assert f"{etc(device, 'secrets/ca.crt')}: is not in this bundle and is removed" in outcome.said
    assert [it.name for it in etc(device, "secrets").iterdir()] == ["agent.key"]
    assert not list(units.rglob("edge-reid-old*"))
    assert (units / "edge-reid@.service").exists()


def test_a_trigger_that_the_bundle_has_no_more_is_stopped(device: DeviceRoot) -> None:
    device.run_systemd()
    device.install(
        device.bundle("1.0", units=["edge-reid-old.timer", "edge-reid-old.service"]), *QUICK
    )
    assert device.install(device.bundle("1.1"), *QUICK).code == 0
    stops = [it for it in device.told if it.startswith("stop")]
    assert stops == ["stop edge-reid-old.timer"], "a service may be what runs this installer"


def test_what_was_made_on_the_device_stays(device: DeviceRoot) -> None:
    device.install(device.bundle("1.0"))
    mine = {
        etc(device, "door.toml"): "# for 1.0\n# for 1.1\n",
        etc(device, "secrets/door.key"): "mine",
        etc(device, "notes"): "mine",
        device.root / "etc/systemd/system/mine.service": "mine",
    }
    for path, text in mine.items():
        path.write_text(text)
    assert device.install(device.bundle("1.1", cameras=["yard"], secrets={})).code == 0
    assert {path: path.read_text() for path in mine} == mine
    assert (device.config.exists(), device.is_enabled("door")) == (False, True)


def test_what_was_removed_and_made_again_by_hand_stays(device: DeviceRoot) -> None:
    device.install(device.bundle("1.0"))
    text = device.config.read_text()
    device.install(device.bundle("1.1", cameras=["door"]))
    device.config.write_text(text + "# for 1.2\n")
    assert device.install(device.bundle("1.2", cameras=["door"])).code == 0
    assert device.config.exists()


@pytest.mark.parametrize("recorded", [True, False])
def test_what_was_changed_on_the_device_is_put_aside(device: DeviceRoot, *, recorded: bool) -> None:
    device.install(device.bundle("1.0"))
    recorded or without_record(device)
    device.config.write_text("# mine\n")
    etc(device, "secrets/ca.crt").write_text("mine")
    outcome = device.install(device.bundle("1.1", cameras=["door"], secrets={}))
    assert outcome.code == 0, outcome.said
    assert not device.config.exists()
    assert etc(device, "gate.toml.removed").read_text() == "# mine\n"
    assert etc(device, "secrets/ca.crt.removed").read_text() == "mine"
    assert "was changed on this device: kept as" in outcome.said


def test_a_changed_configuration_whose_camera_the_bundle_has_stays(device: DeviceRoot) -> None:
    mine = "# for 1.0\n# for 1.1\n# for 1.2\n# mine\n"
    device.install(device.bundle("1.0"))
    device.config.write_text(mine)
    for version in ("1.1", "1.2"):
        assert device.install(device.bundle(version)).code == 0
    assert device.config.read_text() == mine
    assert "# for 1.2" in etc(device, "gate.toml.new").read_text()
    device.config.write_text(etc(device, "gate.toml.new").read_text())  # taken over
    assert device.install(device.bundle("1.3")).code == 0
    assert "# for 1.3" in device.config.read_text()
    assert not etc(device, "gate.toml.new").exists()


def test_a_bundle_for_all_devices_has_no_secrets_and_removes_none(device: DeviceRoot) -> None:
    device.install(device.bundle("1.0"))
    for_all = device.bundle("1.1", cameras=["gate-1/gate", "gate-2/yard"], secrets={}, box=None)
    assert device.install(for_all).code == 0
    assert {it.name for it in etc(device, "secrets").iterdir()} == {"agent.key", "ca.crt"}
    for_all = device.bundle("1.2", cameras=["gate-1/door"], secrets={}, box=None)
    assert device.install(for_all).code == 0
    assert not device.config.exists(), "of its cameras it knows"
    assert {it.name for it in etc(device, "secrets").iterdir()} == {"agent.key", "ca.crt"}
    assert device.install(device.bundle("1.3", secrets={"agent.key": b"new"})).code == 0
    assert [it.name for it in etc(device, "secrets").iterdir()] == ["agent.key"]


def test_a_bundle_for_all_devices_but_this_one_is_refused(old_device: DeviceRoot) -> None:
    before = old_device.fingerprint()
    outcome = old_device.install(
        old_device.bundle("1.1", cameras=["gate-2/yard"], secrets={}, box=None)
    )
    assert "is for the devices of a site, and has nothing for this one, gate-1" in outcome.complaint
    assert (old_device.fingerprint(), old_device.releases) == (before, ["1.0"])


def test_a_device_without_a_name_keeps_the_cameras_made_on_it(device: DeviceRoot) -> None:
    for_all = device.bundle("1.0", cameras=["gate-2/yard"], secrets={}, box=None)
    assert device.install(for_all).code == 0
    device.config.write_text("# for 1.1\n")
    for_all = device.bundle("1.1", cameras=["gate-2/yard"], secrets={}, box=None)
    assert device.install(for_all).code == 0
    assert device.config.exists()


def test_only_the_configuration_is_new_and_lacks_a_camera(device: DeviceRoot) -> None:
    bundle = device.bundle("1.0", cameras=["gate", "door"])
    device.install(bundle)
    (bundle / "config/gate.toml").unlink()
    real_bundles.write_manifest(bundle, "1.0")
    outcome = device.install(bundle)
    assert (outcome.code, "installing" in outcome.said) == (0, False), outcome.said
    assert not device.config.exists()
    record = json.loads((device.home / "current/brought.json").read_text())
    assert "etc/edge-reid/door.toml" in record["files"]
    assert "etc/edge-reid/gate.toml" not in record["files"]


def test_what_doctor_refuses_gives_back_what_was_removed(device: DeviceRoot) -> None:
    device.run_systemd()
    device.install(device.bundle("1.0"), *QUICK)
    before = device.fingerprint()
    outcome = device.install(device.bundle("1.1", "sick", cameras=["door"], secrets={}), *QUICK)
    assert "doctor says no" in outcome.complaint
    assert device.fingerprint() == before
    assert device.state == "active"


def test_agents_that_are_not_well_give_back_what_was_removed(device: DeviceRoot) -> None:
    device.run_systemd()
    device.install(device.bundle("1.0"), *QUICK)
    before = device.fingerprint()
    device.config.chmod(0o600)
    outcome = device.install(device.bundle("1.1", "mute", cameras=["door"], secrets={}), *QUICK)
    assert "edge-reid@door: was not well" in outcome.complaint
    assert (device.fingerprint(), device.version) == (before, "1.0")
    assert device.config.stat().st_mode & 0o777 == 0o600
    wait_active(device)
    assert device.state_of("door") == "inactive"
    assert device.is_enabled("gate")
    assert not device.is_enabled("door")
    assert device.install(device.bundle("1.2"), *QUICK).code == 0, "and the agent of 1.0 was well"


def wait_active(device: DeviceRoot) -> None:
    deadline_s = time.monotonic() + 10
    while device.state != "active":
        assert time.monotonic() < deadline_s, device.state
        time.sleep(0.1)


@pytest.mark.parametrize("follows", [True, False])
def test_what_follows_releases_is_switched_back(device: DeviceRoot, *, follows: bool) -> None:
    device.run_systemd()
    bundles = device.bundle("1.0"), device.bundle("1.1", "mute")
    following = bundles[0 if follows else 1]
    (following / "config/gate.toml").open("a").write("[update]\n")
    for bundle, version in zip(bundles, ("1.0", "1.1"), strict=True):
        real_bundles.write_manifest(bundle, version)
    device.install(bundles[0], *QUICK)
    before = device.fingerprint()
    assert "was not well" in device.install(bundles[1], *QUICK).complaint
    assert device.fingerprint() == before
    last = [it for it in device.told if "edge-reid-install.path" in it][-1]
    assert last.split()[0] == ("start" if follows else "reset-failed")


def cut_off_at_the_doctor(device: DeviceRoot, bundle: Path) -> None:
    installer = device.start(bundle, *QUICK)
    assert installer.stderr is not None
    while "asking the doctor" not in installer.stderr.readline():
        assert installer.poll() is None
    while not list(device.config.parent.glob(".*.candidate")):
        assert installer.poll() is None, "the doctor is shown no configuration"
    installer.send_signal(signal.SIGKILL)
    installer.wait()
    with (device.home / "lock").open("w") as lock:  # the doctor, if only just forked, may hold it
        fcntl.flock(lock, fcntl.LOCK_EX)
    assert not device.config.exists()


def test_a_power_cut_gives_back_what_was_removed(device: DeviceRoot) -> None:
    device.run_systemd()
    device.install(device.bundle("1.0"), *QUICK)
    before = device.fingerprint()
    cut_off_at_the_doctor(device, device.bundle("1.1", cameras=["door"], secrets={}))
    device.stop()
    device.boot()
    assert device.fingerprint() == before
    assert device.told[-1] == "start --no-block edge-reid@gate.service", "it was not in this boot"
    wait_active(device)


def test_the_guard_of_the_release_before_can_give_back_what_was_removed(
    device: DeviceRoot,
) -> None:
    device.install(device.bundle("1.0"))
    before = device.fingerprint()
    guard = device.home / "journal.py"
    shutil.copy(GUARD_BEFORE, guard)
    cut_off_at_the_doctor(device, device.bundle("1.1", cameras=["door"], secrets={}))
    assert guard.read_bytes() != GUARD_BEFORE.read_bytes(), "the plan has the guard it was made by"
    shutil.copy(GUARD_BEFORE, guard)  # what an installer of that release brings along
    device.boot()
    assert (device.fingerprint(), device.releases) == (before, ["1.0"])
