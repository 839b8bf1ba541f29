"""A real PostgreSQL in a folder of its own, behind a Unix socket, to be stopped and started."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

START_TIMEOUT_S = 60.0


def postgres_folder() -> Path | None:
    """Where its programs are; Debian keeps them off the PATH."""
    folders = [*Path("/usr/lib/postgresql").glob("*/bin"), *map(Path, os.get_exec_path())]
    return next((it for it in folders if shutil.which("initdb", path=str(it))), None)


def pgvector_folder() -> Path | None:
    """Where the programs of one with pgvector are: those in the package pgserver."""
    package = find_spec("pgserver")
    return Path(str(package.origin)).parent / "pginstall" / "bin" if package else None


class Postgres:
    """It does not run as root, so as root the user `postgres` runs it.

    Args:
        programs: the folder of them.
        is_copied: they are taken from a copy of their package, as they may lie in a folder that is
            closed to that user.
    """

    def __init__(self, programs: Path, *, is_copied: bool = False) -> None:
        # not below pytest's folders: those of root are closed to others
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._programs = self._copied(programs) if is_copied else programs
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
        self._say(f"CREATE SCHEMA {name}")
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

    @property
    def process(self) -> int:
        """The number of the first of its processes, while it runs."""
        assert self._process is not None
        return self._process.pid

    @contextmanager
    def with_login(self, role: str, password: str) -> Iterator[str]:
        """While it lasts, a role that gets in with its password alone; the URL, without it."""
        self._say(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
        rules = self._data / "pg_hba.conf"
        before = rules.read_text()
        rules.write_text(f"local all {role} scram-sha-256\n{before}")
        try:
            self._say("SELECT pg_reload_conf()")
            while self._gets_in_without_password(role):
                time.sleep(0.05)
            yield self.url.replace("//reid@", f"//{role}@")
        finally:
            rules.write_text(before)
            self._say(
                "SELECT pg_reload_conf()", f"DROP OWNED BY {role} CASCADE", f"DROP ROLE {role}"
            )

    def crash(self) -> None:
        """An immediate shutdown: it recovers from its log at the next start."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(timeout=30)
            self._process = None

    def remove(self) -> None:
        self.crash()
        shutil.rmtree(self.folder)

    def _copied(self, programs: Path) -> Path:
        """With the libraries beside the package, which they find by their place."""
        package = programs.parents[1]
        for name in (package.name, f"{package.name}.libs"):
            if (package.parent / name).exists():
                shutil.copytree(package.parent / name, self.folder / name)
        return self.folder / programs.relative_to(package.parent)

    def _say(self, *statements: str) -> None:
        words = [word for statement in statements for word in ("-c", statement)]
        subprocess.run([*self._psql("reid"), *words], check=True, capture_output=True)

    def _gets_in_without_password(self, role: str) -> bool:
        bare = {name: value for name, value in os.environ.items() if name != "PGPASSWORD"}
        command = [*self._psql(role), "-w", "-c", ""]
        return subprocess.run(command, check=False, capture_output=True, env=bare).returncode == 0

    def _psql(self, role: str) -> list[str]:
        return [
            *(str(self._programs / "psql"), "-q", "-h", str(self.folder)),
            *("-U", role, "-d", "postgres"),
        ]

    def _is_ready(self) -> bool:
        check = [str(self._programs / "pg_isready"), "-q", "-h", str(self.folder)]
        return subprocess.run(check, check=False).returncode == 0

    def _run(self, program: str, *words: str) -> None:
        command = [str(self._programs / program), *words]
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder, **self._as)
