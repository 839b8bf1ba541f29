"""What a crop costs on an arm64 core that nobody has at hand: instructions of one embedding.

    PYTHONPATH=tests python tests/device/arm_instructions.py --out out/device

Each shipped embedding model runs in LiteRT, with one thread, under qemu-user, which counts
(`count_instructions.c`) and comes to the same number however busy this machine is. It knows of no
caches and of no pipeline: it says how models compare, not how long they take.

As root, for the root that `make device-test` has made or makes; with qemu-user (the static one
takes no plugins) and gcc.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

from arm_root import CORE, NEEDS, ArmRoot, check_machine
from rich.console import Console
from rich.table import Table

from edge_reid.core.bundled_models import EMBEDDING, EMBEDDINGS, shipped_model

CORES = ("cortex-a72", "cortex-a76")
"""Of a Raspberry Pi 4; of a 5, which has dot products."""
PLATFORMS = ("manylinux2014_aarch64", "manylinux_2_27_aarch64", "manylinux_2_28_aarch64")
PYTHON = "3.11"
"""Debian bookworm's."""
MORE_NEEDS = {"qemu-aarch64": "qemu-user", "gcc": "gcc"}
EMBED = """\
import os, sys
from contextlib import suppress
from ai_edge_litert.interpreter import Interpreter

def mark():
    with suppress(ProcessLookupError):
        os.getpgid(1_000_000_000)

model = Interpreter(model_path=sys.argv[1], num_threads=1)
model.allocate_tensors()
model.invoke()
mark()
model.invoke()
mark()
"""


def main() -> None:
    options = _options()
    check_machine("arm_instructions.py", NEEDS | MORE_NEEDS)
    out: Path = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    root = ArmRoot((options.root or out / "root").resolve())
    root.make()
    root.inside("/proc/cpuinfo").write_text(CORE.format(number=0))
    plugin, packages = build_plugin(out), unpack_litert(out / "litert-arm64")
    counts = {
        name: [instructions(root, name, core, plugin, packages) for core in CORES]
        for name in EMBEDDINGS
    }
    table = Table("model", *CORES)
    for name, of_cores in counts.items():
        beside = zip(of_cores, counts[EMBEDDING], strict=True)
        shown = (f"{count / 1e6:.1f} million, {count / default:.2f}" for count, default in beside)
        table.add_row(name.removesuffix(".tflite"), *shown)
    Console().print(table)


def build_plugin(out: Path) -> Path:
    """The counter, for this machine's qemu."""
    plugin = out / "count_instructions.so"
    source = Path(__file__).with_name("count_instructions.c")
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", source, "-o", plugin], check=True)
    return plugin


def unpack_litert(folder: Path) -> Path:
    """LiteRT as this machine has it, for arm64, and a NumPy."""
    platforms = [word for name in PLATFORMS for word in ("--platform", name)]
    words = ["--quiet", "--no-deps", "--only-binary=:all:", f"--python-version={PYTHON}"]
    litert = f"ai-edge-litert=={version('ai-edge-litert')}"
    pip = [sys.executable, "-m", "pip", "download", *words, *platforms, "-d", folder]
    subprocess.run([*pip, litert, "numpy>=2"], check=True)
    for wheel in folder.glob("*.whl"):
        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(folder)
    return folder


def instructions(root: ArmRoot, name: str, core: str, plugin: Path, packages: Path) -> int:
    """Of one embedding with a model, after a first that made everything ready."""
    qemu = ["qemu-aarch64", "-cpu", core, "-plugin", plugin, "-L", root.folder]
    done = subprocess.run(
        [*qemu, root.inside("/usr/bin/python3"), "-c", EMBED, shipped_model(name)],
        env=os.environ | {"PYTHONPATH": str(packages)},
        check=True,
        text=True,
        stderr=subprocess.PIPE,
    )
    counted = [line for line in done.stderr.splitlines() if line.startswith("instructions ")]
    return int(counted[-1].split()[1])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--out", type=Path, default=Path("out/device"), help="folder for everything"
    )
    parser.add_argument("--root", type=Path, help="the arm64 root; made if it is not there")
    return parser.parse_args()


if __name__ == "__main__":
    main()
