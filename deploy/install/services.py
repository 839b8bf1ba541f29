"""The agents as services: switched on, restarted, and watched until they are known to be well."""

from __future__ import annotations

import shutil
import subprocess
import time
from dataclasses import dataclass

from device_paths import DevicePaths, agent_unit
from install_errors import InstallError

TURN_S = 1.0
FOLLOWERS = ("edge-reid-fetch.timer", "edge-reid-install.path")
"""They fetch and install releases. Both belong to devices with an `[update]` section only."""
STEADY_SHARE = 6
"""An agent is well when it has run for this part of the patience without a restart."""
PROPERTIES = "ActiveState,SubState,Result,MainPID,StatusText,WatchdogTimestampMonotonic"


@dataclass(frozen=True)
class Pulse:
    """An agent as systemd sees it at a moment."""

    state: str
    pid: str
    beat: str
    """When it last told that it makes progress."""
    says: str

    @property
    def is_running(self) -> bool:
        """Active, which for `Type=notify` is: it has said that it is ready."""
        return self.state == "active running"


class Services:
    """The units of a device; without a running systemd they are only enabled for the next boot."""

    def __init__(self, device: DevicePaths) -> None:
        self._device = device
        self._program = shutil.which("systemctl")

    def reload(self) -> None:
        """Let systemd read the unit files again."""
        if self._device.has_systemd:
            self._call("daemon-reload")

    def switch_on(self, agents: tuple[str, ...]) -> None:
        """From the next boot on; and what follows releases, if this device does."""
        if self._program is None:
            return
        root = () if self._device.has_systemd else (f"--root={self._device.root}",)
        self._call(*root, "enable", "edge-reid.target", *_units(agents))
        now = ("--now",) if self._device.has_systemd else ()
        verb = ("enable" if self._device.takes_updates else "disable", *now)
        self._call(*root, *verb, *FOLLOWERS)

    def asleep(self, agents: tuple[str, ...]) -> tuple[str, ...]:
        """Those whose agent is not running and ready; none where no systemd runs."""
        if not self._device.has_systemd:
            return ()
        return tuple(agent for agent in agents if not self._pulse(agent).is_running)

    def restart(self, agents: tuple[str, ...]) -> None:
        """Start them, or start them anew; does not wait until they are ready."""
        if self._device.has_systemd:
            for agent in agents:  # another release need not wait for the failures of this one
                self._device.starts(agent).unlink(missing_ok=True)
            self._call("reset-failed", *_units(agents), may_fail=True)
            self._call("restart", "--no-block", "edge-reid.target", *_units(agents))

    def stop(self, units: tuple[str, ...]) -> None:
        """Of some of which systemd may know nothing any more."""
        if self._device.has_systemd and units:
            self._call("stop", *units, may_fail=True)
            self._call("reset-failed", *units, may_fail=True)

    def start(self, units: tuple[str, ...]) -> None:
        """Those that do not run; does not wait until they are ready."""
        if self._device.has_systemd and units:
            self._call("start", "--no-block", *units, may_fail=True)

    def restart_log(self) -> None:
        if self._device.has_systemd:
            self._call("restart", "systemd-journald.service", may_fail=True)

    def wait_well(self, agents: tuple[str, ...], patience_s: float) -> None:
        """Return once every agent makes progress; without a systemd there is nothing to wait for.

        Raises:
            InstallError: one does not, within that time.
        """
        if not self._device.has_systemd:
            return
        watched = {agent: _Watch(patience_s / STEADY_SHARE) for agent in agents}
        deadline_s = time.monotonic() + patience_s
        while [agent for agent, watch in watched.items() if not watch.look(self._pulse(agent))]:
            if time.monotonic() > deadline_s:
                ill = next(agent for agent, watch in watched.items() if not watch.is_well)
                raise InstallError(
                    f"edge-reid@{ill}: was not well within {patience_s:.0f} s: "
                    f"{self._pulse(ill).says}; see journalctl -u edge-reid@{ill}"
                )
            time.sleep(TURN_S)

    def _pulse(self, agent: str) -> Pulse:
        said = self._call("show", *_units((agent,)), f"--property={PROPERTIES}")
        found = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
        state = f"{found.get('ActiveState')} {found.get('SubState')}"
        says = f"{state}, {found.get('StatusText') or found.get('Result')}"
        beat = found.get("WatchdogTimestampMonotonic", "")
        return Pulse(state, found.get("MainPID", ""), beat, says)

    def _call(self, *words: str, may_fail: bool = False) -> str:
        done = subprocess.run(
            [self._program or "systemctl", *words], capture_output=True, text=True, check=False
        )
        if done.returncode and not may_fail:
            raise InstallError(f"systemctl {words[0]}: {done.stderr.strip() or done.returncode}")
        return done.stdout


class _Watch:
    """One agent on trial."""

    def __init__(self, steady_s: float) -> None:
        self.is_well = False
        self._steady_s = steady_s
        self._first: Pulse | None = None
        self._since_s = 0.0

    def look(self, pulse: Pulse) -> bool:
        """Whether it is well, as of now: one process, ready, and beating ever since."""
        if self._first is None or not pulse.is_running or pulse.pid != self._first.pid:
            self._first, self._since_s = pulse, time.monotonic()
        is_steady = time.monotonic() - self._since_s >= self._steady_s
        self.is_well = pulse.is_running and is_steady and pulse.beat != self._first.beat
        return self.is_well


def _units(agents: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(agent_unit(agent) for agent in agents)
