"""`make device-test`: the bundle on an arm64 Debian, installed without a network, against x86.

    a Debian bookworm arm64 root → the bundle of each runtime → its own installer, no network
    → the agent on a piece of the clip, against a real Mosquitto of the host
    → the same people as on this machine, similarities within 0.03

Emulated is the processor (qemu-user, a Pi 4's core); kernel, disk and clock are the host's, and no
systemd runs inside.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
from arm_root import ArmRoot, check_machine
from rich.console import Console
from rich.table import Table
from support import campus, real_bundles
from support.consumer import Consumer
from support.secured_broker import SecuredMosquitto

FIRST_FRAME, FRAMES = 640, 25
"""A piece in which everybody enrolled is seen: 10 runs of the detector."""
TOLERANCE = 0.03
RUNTIMES = ("litert", "tflite-runtime")
PIECE = "/srv/piece.mp4"
SITE = """\
site = "lab"
target = "pi-bookworm"
[agent.mqtt]
url = "mqtts://127.0.0.1:{port}"
[agent.detect]
rate_hz = 4
[files]
ca_file = "{pki}/ca.crt"
gallery = "{gallery}"
[devices.gate-1]
cert_file = "{pki}/clients/gate-1.crt"
key_file = "{pki}/clients/gate-1.key"
cameras.gate.source.uri = "{piece}"
"""
console = Console()
Similarities = Mapping[str, float]
"""Of each identity, the last that was told."""


@dataclass(frozen=True)
class Figures:
    """What one runtime did."""

    runtime: str
    bundle_bytes: int
    installed_bytes: int
    install_s: float
    run_s: float
    similarities: Similarities


def main() -> None:
    options = _options()
    check_machine("device-test")
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    console.rule("1. a Debian bookworm for arm64")
    root = ArmRoot((options.root or out / "root").resolve())
    root.make()
    console.rule("2. a piece of the clip, and what this machine says of it")
    piece = cut_piece(out / "piece.mp4")
    gallery = enrol(out)
    here = run_here(out, piece, gallery)
    figures = []
    for runtime in options.runtime or RUNTIMES:
        console.rule(f"3. {runtime}")
        figures.append(try_on_arm(root, out, piece, gallery, runtime))
    show(here, figures)
    if any(not agree(here, each.similarities) for each in figures):
        sys.exit("device-test: arm64 does not say the same as x86")


def cut_piece(path: Path) -> Path:
    """The frames of the clip that are run."""
    capture = cv2.VideoCapture(str(campus.CLIP))
    capture.set(cv2.CAP_PROP_POS_FRAMES, FIRST_FRAME)
    images = [capture.read()[1] for _ in range(FRAMES)]
    size = (images[0].shape[1], images[0].shape[0])
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), campus.FPS, size)
    for image in images:
        writer.write(image)
    writer.release()
    return path


def enrol(out: Path) -> Path:
    """A gallery of the people who come back, from the first part of the clip."""
    gallery = out / "gallery.db"
    gallery.unlink(missing_ok=True)
    people = campus.people(*campus.ENROLLED)
    edge_reid("gallery", "init", gallery)
    photos = campus.write_photos(people, out / "photos", campus.ENROLLED_BEFORE)
    for name, crops in photos.items():
        edge_reid("gallery", "enroll", name, *crops, "--gallery", gallery)
    return gallery


def run_here(out: Path, piece: Path, gallery: Path) -> Similarities:
    """The piece on this machine."""
    config = out / "here.toml"
    config.write_text(
        f'site = "lab"\ncamera = "gate"\ngallery = "{gallery.resolve()}"\n'
        f'source.uri = "{piece.resolve()}"\ndetect.rate_hz = 4\n'
    )
    events = out / "here.jsonl"
    events.unlink(missing_ok=True)
    edge_reid("run", "--config", config, "--events", events, "--quiet")
    return similarities(map(json.loads, events.read_text().splitlines()))


def try_on_arm(root: ArmRoot, out: Path, piece: Path, gallery: Path, runtime: str) -> Figures:
    """Bundle, install without a network, run against the broker of this machine."""
    folder = out.resolve() / runtime
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    broker = SecuredMosquitto(folder)
    broker.start()
    try:
        bundle = make_bundle(folder, out, broker, gallery, runtime)
        install_s = install(root, bundle)
        shutil.copy(piece, root.inside(PIECE))
        with Consumer(broker.broker_for("desk"), "edge-reid/lab/gate/hit") as consumer:
            run_s = took_s(lambda: run_inside(root))
            time.sleep(1.0)  # the last hits are on their way
            told = consumer.payloads("/gate/hit")
    finally:
        broker.stop()
    releases = root.inside("/opt/edge-reid/releases")
    installed = sum(it.lstat().st_size for it in releases.rglob("*") if not it.is_symlink())
    size = bundle.stat().st_size
    return Figures(runtime, size, installed, install_s, run_s, similarities(told))


def make_bundle(
    folder: Path, out: Path, broker: SecuredMosquitto, gallery: Path, runtime: str
) -> Path:
    """The bundle of device gate-1."""
    site, bundle = folder / "site.toml", folder / "gate-1.tar.zst"
    named = {"pki": broker.pki, "port": broker.port, "gallery": gallery.resolve(), "piece": PIECE}
    site.write_text(SITE.format(**named))
    words = ("--config", site, "--device", "gate-1", "--runtime", runtime, "--out", bundle)
    edge_reid("bundle", *words, "--lock", out / f"{runtime}.lock")
    return bundle


def install(root: ArmRoot, bundle: Path) -> float:
    """Run the installer of the bundle as a device does, from nothing; seconds."""
    for path in ("/opt/edge-reid", "/etc/edge-reid", "/var/lib/edge-reid", "/srv/bundle"):
        shutil.rmtree(root.inside(path), ignore_errors=True)
    real_bundles.unpack(bundle, root.inside("/srv/bundle"))
    words = ("python3", "/srv/bundle/install/install.py")
    return took_s(lambda: console.print(root.run(words, network=False).stdout))


def run_inside(root: ArmRoot) -> None:
    """The agent as its own user, until the piece ends."""
    program = "/opt/edge-reid/current/bin/edge-reid"
    words = (program, "run", "--quiet", "--config", "/etc/edge-reid/gate.toml")
    root.run(("runuser", "-u", "edge-reid", "--", *words), network=True)


def similarities(events: Iterable[Mapping[str, Any]]) -> Similarities:
    """Who was seen, by the last word on each."""
    return {it["identity"]: it["similarity"] for it in events if it["identity"]}


def agree(here: Similarities, there: Similarities) -> bool:
    """Everybody who was seen here was seen there, nobody else, and as much alike."""
    same = here.keys() == there.keys() and len(here) == len(campus.ENROLLED)
    return same and all(abs(here[who] - there[who]) <= TOLERANCE for who in here)


def show(here: Similarities, figures: Iterable[Figures]) -> None:
    """Everything that was measured."""
    table = Table("runtime", "bundle", "installed", "install", "run", *here)
    table.add_row("x86", "", "", "", "", *(f"{value:.3f}" for value in here.values()))
    for each in figures:
        there = [each.similarities.get(who) for who in here]
        table.add_row(
            each.runtime,
            f"{each.bundle_bytes / 1e6:.0f} MB",
            f"{each.installed_bytes / 1e6:.0f} MB",
            f"{each.install_s:.0f} s",
            f"{each.run_s:.0f} s",
            *("not seen" if value is None else f"{value:.3f}" for value in there),
        )
    console.print(table)


def took_s(work: Any) -> float:
    start = time.monotonic()
    work()
    return time.monotonic() - start


def edge_reid(*words: object) -> None:
    """A verb in a process of its own, as a person would run it."""
    shown = " ".join(map(str, words))
    console.print(f"[dim]$ edge-reid {shown}[/dim]", soft_wrap=True, highlight=False)
    subprocess.run([sys.executable, "-m", "edge_reid", *map(str, words)], check=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--out", type=Path, default=Path("out/device"), help="folder for everything"
    )
    parser.add_argument("--root", type=Path, help="the arm64 root; made if it is not there")
    parser.add_argument("--runtime", action="append", choices=RUNTIMES, help="default: both")
    return parser.parse_args()


if __name__ == "__main__":
    main()
