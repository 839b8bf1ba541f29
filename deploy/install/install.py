#!/usr/bin/env python3
"""Installs or upgrades edge-reid on this device, from the bundle that this file lies in.

    sudo python3 install/install.py

Nothing is touched before the bundle is known to be whole and meant for this machine. The new
release gets a folder of its own; agents move over to it only when `edge-reid doctor` finds it
fit, and move back when they are not well within two minutes. Whatever happens, power cuts
included, there is a release that works. The same bundle again changes nothing.

The installer needs Python 3.10 or newer and nothing else. It does not check who made the bundle,
since it is part of it: `edge-reid flash` and `edge-reid bundle unpack` do, before.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import etc_files
import installed_release as releases
from device_paths import Account, DevicePaths
from inherited_galleries import Inheritance, retire_left
from install_errors import InstallError
from install_progress import Steps
from journal import Change, Journal, Plan, put
from new_release_doctor import examine
from removed_files import units_to_stop
from services import Services
from unpacked_bundle import UnpackedBundle

PATIENCE_S = 120.0
EXIT_REFUSED = 3
"""Only with --unattended: this version was taken back before."""


@dataclass(frozen=True)
class Installation:
    """A bundle, and the device it goes to."""

    bundle: UnpackedBundle
    device: DevicePaths
    journal: Journal
    services: Services
    steps: Steps
    patience_s: float

    def run(self) -> None:
        """From whatever was there to the bundle's release.

        Raises:
            InstallError: it cannot be; then the device is as it was.
        """
        self._tidy_up()
        if self._is_there:
            self._wake()
            return
        self.bundle.check(self.device, self.steps)
        account = Account.of(self.device)
        release = releases.build(self.bundle, self.device, self.steps)
        etc_files.make_folders(self.device, account)
        galleries = Inheritance.of(self.bundle, self.device)
        etc_files.put_first_gallery(self.bundle, self.device, account, without=galleries.heirs)
        self._upgrade(release, account, galleries)
        releases.prune(self.device)
        self.steps.say(f"edge-reid {self.bundle.version} is installed")

    @property
    def _is_there(self) -> bool:
        known = self.device.current / self.bundle.manifest.name
        is_current = self.device.current_version() == self.bundle.version
        return is_current and known.read_bytes() == self.bundle.manifest.read_bytes()

    def _wake(self) -> None:
        """What an installer that was cut off has installed may never have been switched on, and
        what was well may not be so any more.
        """
        etc_files.mend(self.bundle, self.device, Account.of(self.device), self.steps)
        self.services.switch_on(self.device.agents)
        asleep = self.services.asleep(self.device.agents)
        if asleep:
            self._start(asleep, journald_changed=True)
        done = f"{', '.join(asleep)} started" if asleep else "nothing to do"
        self.steps.say(f"edge-reid {self.bundle.version} is installed: {done}")

    def _tidy_up(self) -> None:
        """Take back, or end, what an installer before us was killed at."""
        releases.sweep(self.device)
        plan = self.journal.take_back("the installer was killed", is_its_fault=False)
        if plan:
            self.steps.say(f"the upgrade to {plan.after} was cut off before: taken back")
            self._switch_back(plan)
            if plan.before:
                self.services.restart(self.device.agents)
        retire_left(self.device, self.steps)

    def _upgrade(self, release: Path, account: Account, galleries: Inheritance) -> None:
        bundle, device = self.bundle, self.device
        before = device.current_version() or ""
        *others, current = etc_files.changes(bundle, release, device, account, self.steps)
        put(Change(device.home / "journal.py", _own_file("journal.py"), mode=0o755))
        meanwhile = [
            *etc_files.traces(bundle, device),
            *galleries.traces,
            *etc_files.switches(bundle, device),
        ]
        self.journal.begin(before, bundle.version, [*others, *meanwhile, current])
        try:
            for change in others:
                put(change)
            galleries.bring(release, account, self.steps)
            self.steps.say("asking the doctor")
            for doubt in examine(release, device, account, device.agents):
                self.steps.say(f"warning: {doubt}")
            put(current)
            is_new = any(change.path == device.journald for change in others)
            self.services.stop(units_to_stop(others, device))
            self._start(device.agents, journald_changed=is_new)
        except BaseException as error:
            self._take_back(before, error)
            raise
        galleries.note_replaced()
        self.journal.confirm()
        galleries.retire(self.steps)

    def _start(self, agents: tuple[str, ...], *, journald_changed: bool) -> None:
        self.services.reload()
        self.services.switch_on(agents)
        if journald_changed:
            self.services.restart_log()
        self.services.restart(agents)
        self.steps.say("waiting until the agents are well")
        self.services.wait_well(agents, self.patience_s)

    def _take_back(self, before: str, error: BaseException) -> None:
        reason = str(error) if isinstance(error, InstallError) else "the installer was interrupted"
        is_switched = self.device.current_version() == self.bundle.version
        plan = self.journal.take_back(reason, is_its_fault=isinstance(error, InstallError))
        self._switch_back(plan)
        if is_switched and before:
            self.services.restart(self.device.agents)
        stays = self.device.current_version()
        self.steps.say(f"edge-reid {stays} is what runs" if stays else "nothing is installed")

    def _switch_back(self, plan: Plan | None) -> None:
        """Of what was taken back, let systemd know."""
        self.services.reload()
        if plan:
            self.services.stop(plan.switched_on)
            self.services.start(plan.switched_off)


def _own_file(name: str) -> bytes:
    return Path(__file__).with_name(name).read_bytes()


def main() -> int:
    """Exit code: 0 done, 1 failed, 3 refused."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path("/"), help="a folder that stands for /")
    parser.add_argument(
        "--patience", type=float, default=PATIENCE_S, metavar="S", help="for agents to become well"
    )
    parser.add_argument(
        "--unattended", action="store_true", help="refuse a version that was taken back before"
    )
    asked = parser.parse_args()
    os.umask(0o022)  # root's may be stricter, and the agents' user must be able to read releases
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a terminal that goes away is no reason to stop
    signal.signal(signal.SIGTERM, _terminate)
    device, journal = DevicePaths(asked.root.resolve()), Journal(asked.root.resolve())
    try:
        bundle = UnpackedBundle.open(Path(__file__).resolve().parents[1])
        if asked.unattended and (reason := journal.refused(bundle.version)):
            sys.stderr.write(f"edge-reid {bundle.version} was taken back before: {reason}\n")
            return EXIT_REFUSED
        _install(Installation(bundle, device, journal, Services(device), Steps(), asked.patience))
    except InstallError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"error: {error.filename}: {error.strerror}; the device is as it was\n")
        return 1
    return 0


def _install(installation: Installation) -> None:
    try:
        with installation.journal.locked() as is_ours:
            if not is_ours:
                raise InstallError("another installation is under way; wait for it to end")
            installation.run()
    except PermissionError as error:
        raise InstallError("expected to be run as root; use sudo") from error


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
