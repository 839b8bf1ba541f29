"""The installer on a folder that stands for a device: real bundles, real pip, real environments."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import stat
import time
import zipfile
from pathlib import Path

import pytest
from support import real_bundles
from support.device_root import DeviceRoot
from support.requirements import absent

QUICK = ("--patience", "8")


def test_from_an_empty_device_to_a_release(old_device: DeviceRoot) -> None:
    device = old_device
    assert device.version == "1.0"
    assert (device.home / "current").readlink() == Path("releases/1.0")
    assert stat.S_IMODE((device.root / "etc/edge-reid/secrets/agent.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((device.root / "etc/edge-reid/secrets/ca.crt").stat().st_mode) == 0o644
    manifest = device.home / "current/manifest.json"
    assert stat.S_IMODE(manifest.stat().st_mode) == 0o640, "it has the hashes of secrets"
    digest = hashlib.sha256(manifest.read_bytes()).hexdigest()
    assert manifest.with_suffix(".sha256").read_text() == f"{digest}\n"
    assert (device.root / "etc/systemd/system/edge-reid@.service").exists()
    assert not list((device.home / "releases").glob("*.partial"))
    assert not (device.home / "upgrade").exists()


def test_the_agents_are_switched_on_for_the_next_boot(old_device: DeviceRoot) -> None:
    if shutil.which("systemctl") is None:
        absent("systemctl (Debian: apt install systemd)")
    units = old_device.root / "etc/systemd/system"
    assert (units / "multi-user.target.wants/edge-reid.target").is_symlink()
    assert (units / "edge-reid.target.wants/edge-reid@gate.service").is_symlink()


def test_the_same_bundle_again_changes_nothing(device: DeviceRoot) -> None:
    bundle = device.bundle("1.0")
    device.install(bundle)
    before = {it: it.lstat().st_mtime_ns for it in device.root.rglob("*") if it.name != "lock"}
    outcome = device.install(bundle)
    after = {it: it.lstat().st_mtime_ns for it in device.root.rglob("*") if it.name != "lock"}
    assert (outcome.code, after) == (0, before)
    assert outcome.said == "edge-reid 1.0 is installed: nothing to do\n"


def test_the_last_two_releases_are_kept(device: DeviceRoot) -> None:
    for version in ("1.0", "1.1", "1.2"):
        assert device.install(device.bundle(version)).code == 0
    assert (device.version, device.releases) == ("1.2", ["1.1", "1.2"])


def test_going_back_by_hand_builds_nothing(device: DeviceRoot) -> None:
    old = device.bundle("1.0")
    device.install(old)
    device.install(device.bundle("1.1"))
    outcome = device.install(old)
    assert (outcome.code, device.version, device.releases) == (0, "1.0", ["1.0", "1.1"])
    assert "installing" not in outcome.said


def test_a_configuration_changed_on_the_device_stays(device: DeviceRoot) -> None:
    device.install(device.bundle("1.0"))
    mine = "# for 1.0\n# for 1.1\n# mine\n"
    device.config.write_text(mine)
    outcome = device.install(device.bundle("1.1"))
    assert (outcome.code, device.version, device.config.read_text()) == (0, "1.1", mine)
    assert "was changed on this device and stays" in outcome.said
    assert "# for 1.1" in device.config.with_name("gate.toml.new").read_text()


def spoil(device: DeviceRoot) -> dict[Path, tuple[int, int]]:
    """Give files other modes, and other owners if we may; those they had, with the owners."""
    etc, units = device.root / "etc/edge-reid", device.root / "etc/systemd/system"
    paths = [
        device.config,
        etc / "secrets/agent.key",
        etc / "secrets/ca.crt",
        units / "edgereid.slice",
    ]
    had = {it: modes(it) for it in paths}
    for path in paths:
        path.chmod(0o666)
        if os.getuid() == 0:
            os.chown(path, 1234, 1234)
    (etc / "secrets").chmod(0o777)
    return had | {etc / "secrets": (0o750, os.getuid())}


def modes(path: Path) -> tuple[int, int]:
    its = path.stat()
    return stat.S_IMODE(its.st_mode), its.st_uid


def test_an_upgrade_gives_files_their_mode_and_owner_back(device: DeviceRoot) -> None:
    same = {"agent.key": b"key", "ca.crt": b"ca"}
    device.install(device.bundle("1.0", secrets=same))
    had = spoil(device)
    assert device.install(device.bundle("1.1", secrets=same)).code == 0
    assert {it: modes(it) for it in had} == had


def test_the_same_bundle_gives_files_their_mode_and_owner_back(device: DeviceRoot) -> None:
    bundle = device.bundle("1.0")
    device.install(bundle)
    had = spoil(device)
    outcome = device.install(bundle)
    assert (outcome.code, {it: modes(it) for it in had}) == (0, had)
    assert "agent.key: had another mode or owner" in outcome.said
    assert device.install(bundle).said == "edge-reid 1.0 is installed: nothing to do\n"


def test_only_the_configuration_is_new(device: DeviceRoot) -> None:
    bundle = device.bundle("1.0")
    device.install(bundle)
    (bundle / "config/gate.toml").write_text("# for 1.0\n# a new threshold\n")
    real_bundles.write_manifest(bundle, "1.0")
    outcome = device.install(bundle)
    assert (outcome.code, "installing" in outcome.said) == (0, False), outcome.said
    assert "a new threshold" in device.config.read_text()
    assert "nothing to do" in device.install(bundle).said


def damaged(bundle: Path) -> None:
    wheel = next((bundle / "wheels").glob("edge_reid-*"))
    body = bytearray(wheel.read_bytes())
    body[100] ^= 1
    wheel.write_bytes(body)


def cut_short(bundle: Path) -> None:
    wheel = next((bundle / "wheels").glob("pip-*"))
    os.truncate(wheel, 1000)


def for_another_machine(bundle: Path) -> None:
    real_bundles.write_manifest(bundle, "1.1", machine="riscv64")


def for_another_python(bundle: Path) -> None:
    real_bundles.write_manifest(bundle, "1.1", python="3.8")


def led_astray(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"][0]["path"] = "../../etc/passwd"
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def beyond_the_card(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    wheel = next(it for it in manifest["files"] if it["path"].startswith("wheels/"))
    wheel["size_bytes"] = 1 << 50
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def without_pip(bundle: Path) -> None:
    next((bundle / "wheels").glob("pip-*")).unlink()
    real_bundles.write_manifest(bundle, "1.1")


def with_a_wheel_for_another_platform(bundle: Path) -> None:
    wheel = next((bundle / "wheels").glob("edge_reid-*"))
    wheel.rename(wheel.with_name(wheel.name.replace("py3-none-any", "cp27-cp27m-win32")))
    real_bundles.write_manifest(bundle, "1.1")


def with_a_pip_of_many_words(bundle: Path) -> None:
    """More than a pipe holds, before it says what is wrong."""
    wheel = next((bundle / "wheels").glob("pip-*"))
    program = "import sys; sys.exit('WARNING: and so on\\n' * 10_000 + 'ERROR: no such wheel')"
    with zipfile.ZipFile(wheel, "w") as pip:
        pip.writestr("pip/__main__.py", program)
    real_bundles.write_manifest(bundle, "1.1")


@pytest.mark.parametrize(
    ("harm", "complaint"),
    [
        (damaged, "is not what the manifest says (its SHA-256 differs)"),
        (cut_short, "to have"),
        (for_another_machine, "this machine is"),
        (for_another_python, "with Python 3.8, this is Python"),
        (led_astray, "leads out of the bundle"),
        (beyond_the_card, "MB free, got"),
        (without_pip, "expected pip's own wheel"),
        (with_a_wheel_for_another_platform, "is not a supported wheel on this platform"),
        (with_a_pip_of_many_words, "pip: ERROR: no such wheel; make the bundle anew"),
    ],
)
def test_a_bundle_that_cannot_be(old_device: DeviceRoot, harm, complaint: str) -> None:
    before = old_device.fingerprint()
    bundle = old_device.bundle("1.1")
    harm(bundle)
    outcome = old_device.install(bundle)
    assert outcome.code == 1
    assert complaint in outcome.complaint
    assert (old_device.version, old_device.releases) == ("1.0", ["1.0"])
    assert old_device.fingerprint() == before


def test_what_doctor_refuses_is_taken_back_whole(old_device: DeviceRoot) -> None:
    before = old_device.fingerprint()
    outcome = old_device.install(old_device.bundle("1.1", "sick"))
    assert outcome.complaint.endswith("doctor says no: embedding model checksum differs")
    assert (old_device.version, old_device.releases) == ("1.0", ["1.0"])
    assert old_device.fingerprint() == before
    assert "edge-reid 1.0 is what runs" in outcome.said


def test_what_doctor_warns_of_is_said_and_stops_nothing(old_device: DeviceRoot) -> None:
    outcome = old_device.install(old_device.bundle("1.1", "doubtful"))
    assert outcome.code == 0
    assert "warning: edge-reid@gate: gallery of another model" in outcome.said
    assert old_device.version == "1.1"


def test_a_first_installation_that_doctor_refuses_leaves_no_release(
    device: DeviceRoot,
) -> None:
    assert device.install(device.bundle("1.0", "sick")).code == 1
    assert (device.releases, (device.home / "current").is_symlink()) == ([], False)


def test_a_first_installation_cut_off_before_it_is_switched_on_is_by_the_next(
    device: DeviceRoot,
) -> None:
    if shutil.which("systemctl") is None:
        absent("systemctl (Debian: apt install systemd)")
    bundle = device.bundle("1.0")
    device.loses_power_at("systemctl")
    assert device.install(bundle).code == -signal.SIGKILL
    enabled = device.root / "etc/systemd/system/edge-reid.target.wants/edge-reid@gate.service"
    assert (device.version, enabled.is_symlink()) == ("1.0", False)
    device.boot()
    outcome = device.install(bundle)
    assert (outcome.code, enabled.is_symlink()) == (0, True), outcome.said
    assert "taken back" not in outcome.said


def test_a_first_installation_cut_off_before_its_agents_run_is_ended_by_the_next(
    device: DeviceRoot,
) -> None:
    device.run_systemd()
    bundle = device.bundle("1.0")
    device.loses_power_at("systemctl")
    assert device.install(bundle, *QUICK).code == -signal.SIGKILL
    assert (device.version, device.state) == ("1.0", "inactive")
    outcome = device.install(bundle, *QUICK)
    assert (outcome.code, device.state) == (0, "active"), outcome.said
    assert outcome.said.endswith("edge-reid 1.0 is installed: gate started\n")
    assert device.install(bundle).said == "edge-reid 1.0 is installed: nothing to do\n"


def test_a_first_installation_cut_off_before_its_release_is_current_is_done_again(
    device: DeviceRoot,
) -> None:
    device.run_systemd()
    bundle = device.bundle("1.0")
    installer = device.start(bundle, *QUICK)
    while "asking the doctor" not in installer.stderr.readline():
        assert installer.poll() is None
    installer.send_signal(signal.SIGKILL)
    installer.wait()
    outcome = device.install(bundle, *QUICK)
    assert (outcome.code, device.version, device.state) == (0, "1.0", "active"), outcome.said


def test_whatever_roots_umask_the_agents_may_read_their_release(device: DeviceRoot) -> None:
    assert device.install(device.bundle("1.0"), umask=0o077).code == 0
    release = device.home / "releases/1.0"
    library = [*(release / "bin").iterdir(), *(release / "lib").rglob("*")]
    folders = [it for it in device.home.parent.rglob("*") if it.is_dir()]
    for path in (device.home.parent, *folders, *library, device.config.parent):
        wanted = 0o005 if path.is_dir() else 0o004
        assert path.stat().st_mode & wanted == wanted, path


def test_other_programs_under_a_version_that_is_there(old_device: DeviceRoot) -> None:
    outcome = old_device.install(old_device.bundle("1.0", "mute"))
    assert "give the bundle a version of its own" in outcome.complaint


def test_agents_that_are_well_confirm_an_upgrade(device: DeviceRoot) -> None:
    device.run_systemd()
    assert device.install(device.bundle("1.0"), *QUICK).code == 0
    assert device.install(device.bundle("1.1"), *QUICK).code == 0
    assert device.version == "1.1"


@pytest.mark.parametrize("illness", ["dies", "mute"])
def test_agents_that_are_not_well_take_an_upgrade_back(device: DeviceRoot, illness: str) -> None:
    device.run_systemd()
    device.install(device.bundle("1.0"), *QUICK)
    before = device.fingerprint()
    outcome = device.install(device.bundle("1.1", illness), *QUICK)
    assert "edge-reid@gate: was not well within 8 s" in outcome.complaint
    assert (device.version, device.releases, device.fingerprint()) == ("1.0", ["1.0"], before)
    again = device.install(device.bundle("1.1", illness), "--unattended")
    assert (again.code, device.version) == (3, "1.0"), "what failed is not tried again unasked"
    assert device.install(device.bundle("1.2"), *QUICK).code == 0, "and the agent of 1.0 was well"


def test_two_installers_at_once(device: DeviceRoot) -> None:
    device.install(device.bundle("1.0"))
    bundle = device.bundle("1.1")
    first = device.start(bundle)
    while not list((device.home / "releases").glob("*.partial")):
        time.sleep(0.01)
    assert "another installation is under way" in device.install(bundle).complaint
    assert first.wait(60) == 0
    assert device.version == "1.1"


def cut_off(device: DeviceRoot, times: int, patience: tuple[str, ...] = ()) -> None:
    """Kill installers, each at another moment, and look at what they leave."""
    bundles = {version: device.bundle(version) for version in ("1.0", "1.1")}
    device.install(bundles["1.0"], *patience)
    began_s = time.monotonic()
    device.install(bundles["1.1"], *patience)
    took_s = time.monotonic() - began_s
    chance = random.Random(5)
    for _ in range(times):
        before = device.version
        other = "1.0" if before == "1.1" else "1.1"
        shutil.rmtree(device.home / "releases" / other, ignore_errors=True)  # to be built again
        installer = device.start(bundles[other], *patience)
        time.sleep(chance.uniform(0, took_s))
        os.killpg(installer.pid, signal.SIGKILL)  # with its pip, as systemd does
        installer.wait()
        assert device.version in {before, other}, "there is always a release that runs"
        device.boot()
        assert f"# for {device.version}\n" in device.config.read_text(), (
            "with its own configuration"
        )
        assert not (device.home / "upgrade").exists()
        if device.version == before:
            outcome = device.install(bundles[other], *patience)
            assert (outcome.code, device.version) == (0, other), outcome.said
        assert not list((device.home / "releases").glob("*.partial"))


def test_an_installer_that_is_killed(device: DeviceRoot) -> None:
    cut_off(device, 3)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_an_installer_that_is_killed_again_and_again(device: DeviceRoot) -> None:
    device.run_systemd()
    cut_off(device, 40, ("--patience", "12"))
