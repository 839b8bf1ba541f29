"""What somebody sees first: how large an installation is, and how soon `edge-reid --help` answers.

    python tests/bench/first_look.py

Builds the wheel, installs it with pip into an environment of its own, which it removes again, and
prints one line. Leaves with 1 if the installation has more than 500 MB, brings TensorFlow, or if
`--help` takes more than a second of processor time, which other programs do not lengthen. On a
machine with nothing else to do it is wanted within 0.3 s.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
import venv
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[2]
MOST_MB = 500
WANTED_S = 0.3
MOST_S = 1.0
RUNS = 9


def main() -> int:
    with TemporaryDirectory(prefix="edge-reid-first-look-") as folder:
        wheel = build_wheel(Path(folder))
        environment = install(wheel, Path(folder) / "environment")
        packages = next(environment.glob("lib/python*/site-packages"))
        size_mb = sum(file.stat().st_size for file in packages.rglob("*") if file.is_file()) / 1e6
        waited_s, worked_s = map(
            median, zip(*(time_help(environment) for _ in range(RUNS)), strict=True)
        )
        has_tensorflow = (packages / "tensorflow").exists()
    print(
        f"first look: installed {size_mb:.0f} MB (most {MOST_MB}), "
        f"edge-reid --help {waited_s:.2f} s (wanted {WANTED_S}), "
        f"{worked_s:.2f} s of processor time (most {MOST_S:g})"
        + (", and TensorFlow with it" if has_tensorflow else "")
    )
    return int(size_mb > MOST_MB or worked_s > MOST_S or has_tensorflow)


def build_wheel(folder: Path) -> Path:
    """The wheel of this checkout; hatchling is taken from the environment that runs this."""
    pip(sys.executable, "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(ROOT))
    return next(folder.glob("edge_reid-*.whl"))


def install(wheel: Path, environment: Path) -> Path:
    """A new environment with the wheel and what it needs, and without pip."""
    venv.create(environment)
    pip(sys.executable, "--python", str(environment / "bin" / "python"), "install", str(wheel))
    return environment


def pip(python: str, *words: str) -> None:
    done = subprocess.run(
        [python, "-m", "pip", "--quiet", *words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"first look: pip {' '.join(words)}:\n{done.stdout}{done.stderr}")


def time_help(environment: Path) -> tuple[float, float]:
    """Seconds that `--help` takes, and seconds of processor time."""
    command = [environment / "bin" / "edge-reid", "--help"]
    start_s, worked_s = time.perf_counter(), processor_s()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start_s, processor_s() - worked_s


def processor_s() -> float:
    """Processor time of all programs that were started from here and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    sys.exit(main())
