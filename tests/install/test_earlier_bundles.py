"""What an earlier bundle brought and a later one has no more, and what was made on the box."""

from __future__ import annotations

import json
import shutil
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import parcels
import pytest

if TYPE_CHECKING:  # another test has put deploy/install, and its install.py, on the path
    from install.conftest import TestBox

QUICK = ("--patience", "8")
GUARD_BEFORE = Path(__file__).with_name("journal_0_2_0.py")
"""The guard of release 0.2.0, as it lies on boxes."""


def etc(box: TestBox, name: str) -> Path:
    return box.root / "etc/edge-reid" / name


def without_record(box: TestBox) -> None:
    """As a release before 0.3 lies there: it did not write down what it brought."""
    (box.home / "current/brought.json").unlink()


def test_a_camera_that_was_renamed(box: TestBox) -> None:
    box.run_systemd()
    box.install(box.bundle("1.0"), *QUICK)
    (box.root / "var/lib/edge-reid/outbox-gate.db").write_text("events")
    outcome = box.install(box.bundle("1.1", cameras=["door"]), *QUICK)
    assert outcome.code == 0, outcome.said
    assert "camera gate: is not in this bundle: its agent stops" in outcome.said
    assert not box.config.exists()
    assert (box.state_of("gate"), box.state_of("door")) == ("inactive", "active")
    assert (box.is_enabled("gate"), box.is_enabled("door")) == (False, True)
    assert (box.root / "var/lib/edge-reid/outbox-gate.db").read_text() == "events"


@pytest.mark.parametrize("recorded", [True, False])
def test_secrets_and_units_that_the_bundle_has_no_more(box: TestBox, *, recorded: bool) -> None:
    units = box.root / "etc/systemd/system"
    old = box.bundle("1.0", units=["edge-reid-old.timer", "edge-reid-old.service"])
    box.install(old)
    (units / "timers.target.wants").mkdir()
    (units / "timers.target.wants/edge-reid-old.timer").symlink_to("../edge-reid-old.timer")
    recorded or without_record(box)
    outcome = box.install(box.bundle("1.1", secrets={"agent.key": b"new"}))
    assert outcome.code == 0, outcome.said
    assert f"{etc(box, 'secrets/ca.crt')}: is not in this bundle and is removed" in outcome.said
    assert [it.name for it in etc(box, "secrets").iterdir()] == ["agent.key"]
    assert not list(units.rglob("edge-reid-old*"))
    assert (units / "edge-reid@.service").exists()


def test_a_trigger_that_the_bundle_has_no_more_is_stopped(box: TestBox) -> None:
    box.run_systemd()
    box.install(box.bundle("1.0", units=["edge-reid-old.timer", "edge-reid-old.service"]), *QUICK)
    assert box.install(box.bundle("1.1"), *QUICK).code == 0
    stops = [it for it in box.told if it.startswith("stop")]
    assert stops == ["stop edge-reid-old.timer"], "a service may be what runs this installer"


def test_what_was_made_on_the_box_stays(box: TestBox) -> None:
    box.install(box.bundle("1.0"))
    mine = {
        etc(box, "door.toml"): "# for 1.0\n# for 1.1\n",
        etc(box, "secrets/door.key"): "mine",
        etc(box, "notes"): "mine",
        box.root / "etc/systemd/system/mine.service": "mine",
    }
    for path, text in mine.items():
        path.write_text(text)
    assert box.install(box.bundle("1.1", cameras=["yard"], secrets={})).code == 0
    assert {path: path.read_text() for path in mine} == mine
    assert (box.config.exists(), box.is_enabled("door")) == (False, True)


def test_what_was_removed_and_made_again_by_hand_stays(box: TestBox) -> None:
    box.install(box.bundle("1.0"))
    text = box.config.read_text()
    box.install(box.bundle("1.1", cameras=["door"]))
    box.config.write_text(text + "# for 1.2\n")
    assert box.install(box.bundle("1.2", cameras=["door"])).code == 0
    assert box.config.exists()


@pytest.mark.parametrize("recorded", [True, False])
def test_what_was_changed_on_the_box_is_put_aside(box: TestBox, *, recorded: bool) -> None:
    box.install(box.bundle("1.0"))
    recorded or without_record(box)
    box.config.write_text("# mine\n")
    etc(box, "secrets/ca.crt").write_text("mine")
    outcome = box.install(box.bundle("1.1", cameras=["door"], secrets={}))
    assert outcome.code == 0, outcome.said
    assert not box.config.exists()
    assert etc(box, "gate.toml.removed").read_text() == "# mine\n"
    assert etc(box, "secrets/ca.crt.removed").read_text() == "mine"
    assert "was changed on this box: kept as" in outcome.said


def test_a_changed_configuration_whose_camera_the_bundle_has_stays(box: TestBox) -> None:
    mine = "# for 1.0\n# for 1.1\n# for 1.2\n# mine\n"
    box.install(box.bundle("1.0"))
    box.config.write_text(mine)
    for version in ("1.1", "1.2"):
        assert box.install(box.bundle(version)).code == 0
    assert box.config.read_text() == mine
    assert "# for 1.2" in etc(box, "gate.toml.new").read_text()
    box.config.write_text(etc(box, "gate.toml.new").read_text())  # taken over
    assert box.install(box.bundle("1.3")).code == 0
    assert "# for 1.3" in box.config.read_text()
    assert not etc(box, "gate.toml.new").exists()


def test_a_bundle_for_all_boxes_has_no_secrets_and_removes_none(box: TestBox) -> None:
    box.install(box.bundle("1.0"))
    for_all = box.bundle("1.1", cameras=["gate-1/gate", "gate-2/yard"], secrets={}, box=None)
    assert box.install(for_all).code == 0
    assert {it.name for it in etc(box, "secrets").iterdir()} == {"agent.key", "ca.crt"}
    for_all = box.bundle("1.2", cameras=["gate-1/door"], secrets={}, box=None)
    assert box.install(for_all).code == 0
    assert not box.config.exists(), "of its cameras it knows"
    assert {it.name for it in etc(box, "secrets").iterdir()} == {"agent.key", "ca.crt"}
    assert box.install(box.bundle("1.3", secrets={"agent.key": b"new"})).code == 0
    assert [it.name for it in etc(box, "secrets").iterdir()] == ["agent.key"]


def test_a_bundle_for_all_boxes_but_this_one_is_refused(old_box: TestBox) -> None:
    before = old_box.fingerprint()
    outcome = old_box.install(old_box.bundle("1.1", cameras=["gate-2/yard"], secrets={}, box=None))
    assert "is for the boxes of a site, and has nothing for this one, gate-1" in outcome.complaint
    assert (old_box.fingerprint(), old_box.releases) == (before, ["1.0"])


def test_a_box_without_a_name_keeps_the_cameras_made_on_it(box: TestBox) -> None:
    for_all = box.bundle("1.0", cameras=["gate-2/yard"], secrets={}, box=None)
    assert box.install(for_all).code == 0
    box.config.write_text("# for 1.1\n")
    for_all = box.bundle("1.1", cameras=["gate-2/yard"], secrets={}, box=None)
    assert box.install(for_all).code == 0
    assert box.config.exists()


def test_only_the_configuration_is_new_and_lacks_a_camera(box: TestBox) -> None:
    bundle = box.bundle("1.0", cameras=["gate", "door"])
    box.install(bundle)
    (bundle / "config/gate.toml").unlink()
    parcels.write_manifest(bundle, "1.0")
    outcome = box.install(bundle)
    assert (outcome.code, "installing" in outcome.said) == (0, False), outcome.said
    assert not box.config.exists()
    record = json.loads((box.home / "current/brought.json").read_text())
    assert "etc/edge-reid/door.toml" in record["files"]
    assert "etc/edge-reid/gate.toml" not in record["files"]


def test_what_doctor_refuses_gives_back_what_was_removed(box: TestBox) -> None:
    box.run_systemd()
    box.install(box.bundle("1.0"), *QUICK)
    before = box.fingerprint()
    outcome = box.install(box.bundle("1.1", "sick", cameras=["door"], secrets={}), *QUICK)
    assert "doctor says no" in outcome.complaint
    assert box.fingerprint() == before
    assert box.state == "active"


def test_agents_that_are_not_well_give_back_what_was_removed(box: TestBox) -> None:
    box.run_systemd()
    box.install(box.bundle("1.0"), *QUICK)
    before = box.fingerprint()
    box.config.chmod(0o600)
    outcome = box.install(box.bundle("1.1", "mute", cameras=["door"], secrets={}), *QUICK)
    assert "camera door: the agent was not well" in outcome.complaint
    assert (box.fingerprint(), box.version) == (before, "1.0")
    assert box.config.stat().st_mode & 0o777 == 0o600
    wait_active(box)
    assert box.state_of("door") == "inactive"
    assert box.is_enabled("gate")
    assert not box.is_enabled("door")
    assert box.install(box.bundle("1.2"), *QUICK).code == 0, "and the agent of 1.0 was well"


def wait_active(box: TestBox) -> None:
    deadline_s = time.monotonic() + 10
    while box.state != "active":
        assert time.monotonic() < deadline_s, box.state
        time.sleep(0.1)


@pytest.mark.parametrize("follows", [True, False])
def test_what_follows_releases_is_switched_back(box: TestBox, *, follows: bool) -> None:
    box.run_systemd()
    bundles = box.bundle("1.0"), box.bundle("1.1", "mute")
    following = bundles[0 if follows else 1]
    (following / "config/gate.toml").open("a").write("[update]\n")
    for bundle, version in zip(bundles, ("1.0", "1.1"), strict=True):
        parcels.write_manifest(bundle, version)
    box.install(bundles[0], *QUICK)
    before = box.fingerprint()
    assert "was not well" in box.install(bundles[1], *QUICK).complaint
    assert box.fingerprint() == before
    last = [it for it in box.told if "edge-reid-install.path" in it][-1]
    assert last.split()[0] == ("start" if follows else "reset-failed")


def cut_off_at_the_doctor(box: TestBox, bundle: Path) -> None:
    installer = box.start(bundle, *QUICK)
    assert installer.stderr is not None
    while "asking the doctor" not in installer.stderr.readline():
        assert installer.poll() is None
    while not list(box.config.parent.glob(".*.candidate")):
        assert installer.poll() is None, "the doctor is shown no configuration"
    installer.send_signal(signal.SIGKILL)
    installer.wait()
    assert not box.config.exists()


def test_a_power_cut_gives_back_what_was_removed(box: TestBox) -> None:
    box.run_systemd()
    box.install(box.bundle("1.0"), *QUICK)
    before = box.fingerprint()
    cut_off_at_the_doctor(box, box.bundle("1.1", cameras=["door"], secrets={}))
    box.stop()
    box.boot()
    assert box.fingerprint() == before
    assert box.told[-1] == "start --no-block edge-reid@gate.service", "it was not in this boot"
    wait_active(box)


def test_the_guard_of_the_release_before_can_give_back_what_was_removed(box: TestBox) -> None:
    box.install(box.bundle("1.0"))
    before = box.fingerprint()
    guard = box.home / "journal.py"
    shutil.copy(GUARD_BEFORE, guard)
    cut_off_at_the_doctor(box, box.bundle("1.1", cameras=["door"], secrets={}))
    assert guard.read_bytes() != GUARD_BEFORE.read_bytes(), "the plan has the guard it was made by"
    shutil.copy(GUARD_BEFORE, guard)  # what an installer of that release brings along
    box.boot()
    assert (box.fingerprint(), box.releases) == (before, ["1.0"])
