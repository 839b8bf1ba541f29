"""`edge-reid doctor` of a new release, with the configuration it will have, as its user."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from device_paths import Account, DevicePaths
from install_errors import InstallError

CREDENTIALS = {
    "ca.crt": "mqtt.ca",
    "agent.crt": "mqtt.cert",
    "agent.key": "mqtt.key",
    "broker.password": "mqtt.password",
}
"""As the unit file hands them over."""
LONGEST_S = 300


def examine(
    release: Path, device: DevicePaths, account: Account, agents: tuple[str, ...]
) -> list[str]:
    """What is doubtful of the release here, agent by agent. Broker and camera may be away.

    Raises:
        InstallError: a model, the configuration, the gallery or a key is not good.
    """
    doubts: list[str] = []
    with _credentials(device, account) as folder:
        environment = os.environ | {"CREDENTIALS_DIRECTORY": str(folder), "COLUMNS": "1000"}
        for agent in agents:
            with _candidate(device.config / f"{agent}.toml", release, device, account) as config:
                words = [str(release / "bin/edge-reid"), "doctor", "--offline"]
                words += ["--config", str(config)]
                said = _ask(account.run_as(words), agent, device.state, environment)
                doubts += [f"edge-reid@{agent}: {doubt}" for doubt in said]
    return doubts


def candidate_of(config: Path) -> Path:
    """Where a doctor is shown a configuration; whoever is killed meanwhile leaves it there."""
    return config.with_name(f".{config.name}.candidate")


def _ask(words: list[str], agent: str, folder: Path, environment: dict[str, str]) -> list[str]:
    try:
        done = subprocess.run(
            words,
            capture_output=True,
            text=True,
            check=False,
            timeout=LONGEST_S,
            cwd=folder,
            env=environment,
        )
    except subprocess.TimeoutExpired as error:
        raise InstallError(f"edge-reid@{agent}: doctor did not end within {LONGEST_S} s") from error
    if done.returncode:
        raise InstallError(
            f"edge-reid@{agent}: doctor says no: {_finding(done.stdout + done.stderr)}"
        )
    return _marked("! ", _lines(done.stdout))


def _lines(said: str) -> list[str]:
    return [" ".join(line.split()) for line in said.splitlines()]


def _marked(mark: str, lines: list[str]) -> list[str]:
    return [line.removeprefix(mark) for line in lines if line.startswith(mark)]


def _finding(said: str) -> str:
    """What is wrong, of all that was said."""
    lines = _lines(said)
    for mark in ("✗ ", "error: "):
        if found := _marked(mark, lines):
            mistakes = [line.removeprefix("- ") for line in lines if line.startswith("- ")]
            return "; ".join([*found, *mistakes])
    return lines[-1] if lines else "nothing at all"


@contextmanager
def _candidate(
    config: Path, release: Path, device: DevicePaths, account: Account
) -> Iterator[Path]:
    """A copy of the configuration in which `current` is the new release; it lies in the same
    folder, which the paths in it are relative to.
    """
    body = config.read_bytes().replace(
        os.fsencode(f"{device.current}/"), os.fsencode(f"{release}/")
    )
    candidate = candidate_of(config)
    try:
        candidate.touch(mode=0o600)
        account.owns(candidate)
        candidate.write_bytes(body)
        yield candidate
    finally:
        candidate.unlink(missing_ok=True)


@contextmanager
def _credentials(device: DevicePaths, account: Account) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="edge-reid-") as name:
        folder = Path(name)
        account.owns(folder)
        for file, credential in CREDENTIALS.items():
            if (device.secrets / file).exists():
                (folder / credential).symlink_to(device.secrets / file)
        yield folder
