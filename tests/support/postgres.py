"""A real PostgreSQL in a folder of its own, behind a Unix socket, to be stopped and started."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

START_TIMEOUT_S = 60.0


def postgres_folder() -> Path | None:
    """Where its programs are; Debian keeps them off the PATH."""
    folders = [*Path("/usr/lib/postgresql").glob("*/bin"), *map(Path, os.get_exec_path())]
    return next((it for it in folders if shutil.which("initdb", path=str(it))), None)


class Postgres:
    """It does not run as root, so as root the user `postgres` runs it."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        # not below pytest's folders: those of root are closed to others
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._data = self.folder / "data"
        self._as: dict[str, Any] = {}
        if os.getuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
            self._as = {"user": "postgres", "group": "postgres", "extra_groups": []}
        self._places = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._run("initdb", "-D", str(self._data), "-U", "reid", "-A", "trust", "--no-sync")
        self.url = f"postgresql://reid@/postgres?host={self.folder}"

    def new_place(self) -> str:
        """URL of a new and empty schema: a database of its own takes seconds to make."""
        name = f"place_{next(self._places)}"
        command = [
            str(self._programs / "psql"),
            "-q",
            "-h",
            str(self.folder),
            "-U",
            "reid",
            "-d",
            "postgres",
        ]
        subprocess.run([*command, "-c", f"CREATE SCHEMA {name}"], check=True, capture_output=True)
        return f"{self.url}&options=-csearch_path%3D{name}"

    def start(self) -> None:
        self._process = subprocess.Popen(
            [
                *(str(self._programs / "postgres"), "-D", str(self._data), "-k", str(self.folder)),
                # no fsync: it dies in these tests, the machine does not
                *("-c", "listen_addresses=", "-c", "fsync=off"),
            ],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **self._as,
        )
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not self._is_ready():
            assert self._process.poll() is None, "postgres ended at once"
            assert time.monotonic() < deadline_s, "postgres does not answer"
            time.sleep(0.05)

    def crash(self) -> None:
        """An immediate shutdown: it recovers from its log at the next start."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(timeout=30)
            self._process = None

    def remove(self) -> None:
        self.crash()
        shutil.rmtree(self.folder)

    def _is_ready(self) -> bool:
        check = [str(self._programs / "pg_isready"), "-q", "-h", str(self.folder)]
        return subprocess.run(check, check=False).returncode == 0

    def _run(self, program: str, *words: str) -> None:
        command = [str(self._programs / program), *words]
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder, **self._as)
