"""An earlier release in an environment of its own, with the same libraries as this one."""

from __future__ import annotations

import subprocess
import venv
from importlib.metadata import version
from pathlib import Path

COMMITS = {"0.4.0": "671003e", "0.5.0": "d763e1f"}
SAME = ("numpy", "opencv-python-headless", "ai-edge-litert")
"""Libraries of the same version, so that only our own work is compared."""
_ROOT = Path(__file__).parents[2]


def python_of(release: str, cache: Path) -> Path:
    """Its Python. Made once in a folder of `cache`; the first time takes a minute, and PyPI.

    Raises:
        CalledProcessError: no such commit in this checkout, or no PyPI.
    """
    home = cache / f"edge-reid-{release}"
    python, done = home / "bin" / "python", home / "done"
    if not done.exists():
        venv.create(home, with_pip=True)
        tree = _unpacked(COMMITS[release], home / "tree")
        limits = home / "constraints.txt"
        limits.write_text("\n".join(f"{library}=={version(library)}" for library in SAME))
        install = [python, "-m", "pip", "install", "--quiet", "--constraint", limits, tree]
        subprocess.run(install, check=True)
        done.touch()
    return python


def _unpacked(commit: str, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    archive = ["git", "-C", str(_ROOT), "archive", commit]
    packed = subprocess.run(archive, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", folder], input=packed, check=True)
    return folder
