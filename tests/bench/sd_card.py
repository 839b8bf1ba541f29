"""Bytes that an agent gives the disk to write in an hour: idle, and with one hit a second.

    sd_card.py [SECONDS]      # of each measurement; against a real Mosquitto, Linux only

Idle is the whole agent, at a camera in front of which nothing moves. One hit a second is the
outbox and the publisher, which are all that writes then. The kernel counts (/proc/PID/io).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS)]

from support.mjpeg_camera import STILL, MjpegCamera  # noqa: E402
from support.mosquitto import Mosquitto  # noqa: E402

SETTLING_S = 20.0


def written_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


def resident_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1e3


def measure(name: str, words: list[str], seconds: float) -> None:
    with subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL) as process:
        time.sleep(SETTLING_S)
        before = written_bytes(process.pid)
        time.sleep(seconds)
        assert process.poll() is None, f"{name}: ended"
        an_hour = (written_bytes(process.pid) - before) / seconds * 3600
        print(f"{name}: {an_hour / 1e6:.2f} MB an hour, {resident_mb(process.pid):.0f} MB resident")
        process.kill()


def main(seconds: float) -> None:
    os.environ["PYTHONPATH"] = str(TESTS.parent)
    with tempfile.TemporaryDirectory(dir=Path.home()) as name, MjpegCamera(STILL) as camera:
        folder = Path(name)
        broker = Mosquitto(folder)
        broker.start()
        gallery = folder / "gallery.db"
        init = [sys.executable, "-m", "edge_reid", "gallery", "init", str(gallery)]
        subprocess.run(init, check=True, stdout=subprocess.DEVNULL)
        agent = ["-m", "edge_reid", "run", "--quiet", "--source", camera.url, "--site", "lab"]
        agent += ["--camera", "gate", "--gallery", str(gallery), "--broker", broker.url]
        measure("idle", agent, seconds)
        busy = [str(TESTS / "support/busy_agent.py"), str(folder / "outbox.db"), str(broker.port)]
        measure("1 hit/s", [*busy, "1.0"], seconds)
        broker.stop()


main(float(sys.argv[1]) if len(sys.argv) > 1 else 120.0)
