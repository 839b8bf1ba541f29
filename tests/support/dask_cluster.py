"""A scheduler of Dask and its workers, each a process, on loopback and by TLS alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from support.secured_broker import certs

PATIENCE_S = 180.0
NO_PAGES = {
    "DASK_DISTRIBUTED__SCHEDULER__HTTP__ROUTES": "[]",
    "DASK_DISTRIBUTED__WORKER__HTTP__ROUTES": "[]",
    "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "true",
}
"""As edge_reid/archive/README.md has it."""


class DaskCluster:
    """A context manager. `options` are those of `edge-reid index`."""

    def __init__(self, folder: Path, workers: int) -> None:
        self.pki, self._folder = folder / "pki", folder
        code, _, complaint = certs(self.pki, "server localhost 127.0.0.1 --cluster")
        assert code == 0, complaint
        self._count = workers
        self._scheduler: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> DaskCluster:
        said = self._folder / "scheduler.json"
        words = ("--host", "tls://127.0.0.1", "--port", "0", "--scheduler-file", said)
        self._scheduler = self._start("scheduler", *words, "--dashboard-address", "127.0.0.1:0")
        deadline_s = time.monotonic() + PATIENCE_S
        while not said.exists() or not said.read_bytes().endswith(b"}"):
            assert self._scheduler.poll() is None, self.log("scheduler")
            assert time.monotonic() < deadline_s, self.log("scheduler")
            time.sleep(0.05)
        self._said = said
        self.workers = [self._worker(number) for number in range(self._count)]
        return self

    def __exit__(self, *_: object) -> None:
        for process in (self._scheduler, *self.workers):
            if process is not None:
                process.kill()
                process.wait()

    @property
    def url(self) -> str:
        address: str = json.loads(self._said.read_bytes())["address"]
        return address

    @property
    def options(self) -> tuple[str | Path, ...]:
        files = ("--ca-file", self.pki / "ca.crt", *self._pair("--cert-file", "--key-file"))
        return ("--cluster", self.url, *files)

    def log(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text()

    def _worker(self, number: int) -> subprocess.Popen[bytes]:
        words = ("--scheduler-file", self._said, "--host", "127.0.0.1", "--nthreads", "1")
        rest = ("--no-nanny", "--no-dashboard", "--local-directory", self._folder / f"own-{number}")
        return self._start("worker", *words, *rest, name=f"worker-{number}")

    def _start(self, program: str, *words: str | Path, name: str = "") -> subprocess.Popen[bytes]:
        files = ("--tls-ca-file", self.pki / "ca.crt", *self._pair("--tls-cert", "--tls-key"))
        with (self._folder / f"{name or program}.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", program, *map(str, (*words, *files))],
                stdout=log,
                stderr=log,
                env=os.environ | NO_PAGES,
            )

    def _pair(self, cert: str, key: str) -> tuple[str | Path, ...]:
        return cert, self.pki / "server.crt", key, self.pki / "server.key"
