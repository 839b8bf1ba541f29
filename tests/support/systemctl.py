"""As much of systemd as an installer needs: starts agents for real, listens to them, starts them
again when they end. `systemctl.py ROOT WORDS…`; for each unit there is a keeper, a process that
`systemctl.py ROOT keep UNIT` is.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

RESTART_S = 0.2


def main(root: Path, verb: str, *words: str) -> None:
    units = [it for it in words if it.startswith("edge-reid@")]
    if verb == "show":
        for name, value in read(root, units[0]).items():
            print(f"{name}={value}")
    elif verb == "keep":
        keep(root, *words)
    else:
        with (root / "run/systemd/told").open("a") as told:
            told.write(" ".join((verb, *words)) + "\n")
        if verb == "restart" and "edge-reid.target" in words and not target(root).exists():
            sys.exit("Unit edge-reid.target not found.")
        for unit in units:
            do(verb, root, unit)
        for unit in (it for it in words if it.endswith((".service", ".timer", ".path"))):
            switch(verb, root, unit)


def do(verb: str, root: Path, unit: str) -> None:
    if verb in {"stop", "restart"}:
        stop(root, unit)
    if verb in {"start", "restart"} and "Keeper" not in read(root, unit):
        start(root, unit)


def target(root: Path) -> Path:
    return root / "etc/systemd/system/edge-reid.target"


def state_file(root: Path, unit: str) -> Path:
    return root / "run/systemd" / f"{unit}.json"


def read(root: Path, unit: str) -> dict[str, str]:
    with suppress(FileNotFoundError):
        return json.loads(state_file(root, unit).read_text())
    return {"ActiveState": "inactive", "SubState": "dead"}


def start(root: Path, unit: str) -> None:
    if (root / "etc/edge-reid" / f"{instance(unit)}.toml").exists():
        keeper = subprocess.Popen(
            [sys.executable, __file__, str(root), "keep", unit],
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if not state_file(root, unit).exists():  # until it writes more: who starts twice, or stops
            write(root, unit, starting(keeper.pid))


def starting(keeper: int) -> dict[str, str]:
    state = {"ActiveState": "activating", "SubState": "start", "MainPID": "0"}
    return state | {"Keeper": str(keeper), "Result": "success", "StatusText": ""}


def switch(verb: str, root: Path, unit: str) -> None:
    link = root / "etc/systemd/system/edge-reid.target.wants" / unit
    link.parent.mkdir(exist_ok=True)
    if verb == "disable":
        link.unlink(missing_ok=True)
    if verb == "enable" and not link.is_symlink():
        link.symlink_to(f"/etc/systemd/system/{unit}")


def stop(root: Path, unit: str) -> None:
    keeper = read(root, unit).get("Keeper")
    if keeper:
        with suppress(ProcessLookupError):
            os.killpg(int(keeper), signal.SIGKILL)
    state_file(root, unit).unlink(missing_ok=True)


def instance(unit: str) -> str:
    return unit.removeprefix("edge-reid@").removesuffix(".service")


def keep(root: Path, unit: str) -> None:
    address = f"@edge-reid-test-{os.getpid()}"  # the path of a socket may have 107 bytes only
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(address.replace("@", "\0"))
    listener.settimeout(0.1)
    program = root / "opt/edge-reid/current/bin/edge-reid"
    config = root / "etc/edge-reid" / f"{instance(unit)}.toml"
    while True:
        agent = subprocess.Popen(
            [str(program), "run", "--config", str(config)],
            env=os.environ | {"NOTIFY_SOCKET": address},
        )
        state = starting(os.getpid()) | {"MainPID": str(agent.pid)}
        while agent.poll() is None:
            with suppress(TimeoutError):
                said = dict(line.split("=", 1) for line in listener.recv(4096).decode().split("\n"))
                state |= {"StatusText": said["STATUS"]}
                state |= {"ActiveState": "active", "SubState": "running"}
                state |= {"WatchdogTimestampMonotonic": str(time.monotonic_ns() // 1000)}
            write(root, unit, state)
        ended = {"ActiveState": "activating", "SubState": "auto-restart", "Result": "exit-code"}
        write(root, unit, state | ended | {"MainPID": "0"})
        time.sleep(RESTART_S)


def write(root: Path, unit: str, state: dict[str, str]) -> None:
    file = state_file(root, unit)
    beside = file.with_suffix(".new")
    beside.write_text(json.dumps(state))
    beside.replace(file)


main(Path(sys.argv[1]), *sys.argv[2:])
