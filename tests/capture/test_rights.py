"""What a decoder that was taken over could still do: tried, by a process without its rights."""

from __future__ import annotations

import ctypes
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.decoders import decoders
from support.mjpeg_camera import MjpegCamera

from edge_reid.capture import landlock
from edge_reid.capture.open_source import open_source
from edge_reid.core.config.source_settings import SourceSettings

NO_LANDLOCK = sys.platform != "linux" or ctypes.CDLL(None).syscall(444, None, 0, 1) < 4
needs_landlock = pytest.mark.skipif(NO_LANDLOCK, reason="needs Linux 6.7 or newer, with Landlock")

TRIES = """
import json, os, resource, socket, sys
from pathlib import Path
from edge_reid.capture.rights import Needs, give_up_rights

ours, other, secret = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
unenforced = give_up_rights(Needs(ports=(ours,)))
def connect(port): socket.create_connection(("127.0.0.1", port), 2).close()
tries = {
    "its camera": lambda: connect(ours),
    "another port": lambda: connect(other),
    "be connected to": lambda: socket.create_server(("127.0.0.1", 0)),
    "read a file": lambda: secret.read_bytes(),
    "list a folder": lambda: os.listdir(secret.parent),
    "write a file": lambda: secret.with_name("new").write_bytes(b"x"),
    "remove a file": lambda: secret.unlink(),
    "start a program": lambda: os.execv("/bin/true", ["true"]),
    "signal the agent": lambda: os.kill(os.getppid(), 0),
    "take memory": lambda: bytearray(4 << 30),
    "import what Python has": lambda: __import__("plistlib"),
    "resolve a name": lambda: socket.getaddrinfo("localhost", 80),
}
def outcome(attempt):
    try: attempt()
    except (OSError, MemoryError) as error: return type(error).__name__
    return "done"
outcomes = {name: outcome(attempt) for name, attempt in tries.items()}
status = dict(line.split(":\\t") for line in Path("/proc/self/status").read_text().splitlines())
outcomes["open many files"] = outcome(lambda: [os.dup(0) for _ in range(100)])
core = resource.getrlimit(resource.RLIMIT_CORE)[0]
print(json.dumps([unenforced, outcomes, core, int(status["NoNewPrivs"])]))
"""


@pytest.fixture
def servers() -> Iterator[tuple[int, int]]:
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
    ):
        yield one.getsockname()[1], two.getsockname()[1]


@needs_landlock
def test_a_decoder_keeps_its_camera_and_nothing_else(
    servers: tuple[int, int], tmp_path: Path
) -> None:
    secret = tmp_path / "gallery.db"
    secret.write_bytes(b"people")
    command = [sys.executable, "-c", TRIES, *map(str, servers), str(secret)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    unenforced, outcomes, core, has_no_new_privileges = json.loads(done.stdout)
    kept = {"its camera", "import what Python has", "resolve a name"}
    assert {name for name, outcome in outcomes.items() if outcome == "done"} == kept
    assert outcomes["another port"] == outcomes["read a file"] == "PermissionError"
    assert (unenforced, core, has_no_new_privileges) == (None, 0, 1)
    assert secret.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="Landlock is Linux's")
def test_a_kernel_without_landlock_takes_nothing_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(landlock, "_ASK_VERSION", 1 << 30)  # which no kernel knows
    assert landlock.restrict(landlock.Allowed()) == "files and connections (no Landlock here)"
    assert Path(__file__).read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_decoder_at_work_is_so_confined_and_nobody_reads_its_login() -> None:
    with MjpegCamera() as camera:
        uri = camera.url.replace("//", "//guard:hunter2@")
        with open_source(SourceSettings(uri=uri)) as source:
            assert next(iter(source)).image.size
            (decoder,) = decoders()
            proc = Path(f"/proc/{decoder}")
            assert "NoNewPrivs:\t1" in proc.joinpath("status").read_text()
            assert b"hunter2" not in proc.joinpath("cmdline").read_bytes()
            assert proc.joinpath("oom_score_adj").read_text() == "500\n"
            limits = proc.joinpath("limits").read_text()
    assert "Max open files            64 " in limits
    assert "Max core file size        0 " in limits
