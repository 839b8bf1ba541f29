"""Our own wheel, whole and as bundles have it, and installations of it without its dependencies."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

from support.outcome import Outcome

from deploy.bundle.own_wheel import own_wheel
from deploy.bundle.wheel import read_wheel
from deploy.bundle.wheel_models import wheel_for_site
from edge_reid.signing.keys import SigningKey


def build(folder: Path) -> Path:
    """The wheel of this checkout."""
    with own_wheel(None) as wheel:
        return Path(shutil.copy(wheel.path, folder))


def for_site(whole: Path, embeddings: Collection[str], folder: Path, **key: SigningKey) -> Path:
    """The same as in the bundle of a site whose devices may run these shipped models."""
    folder.mkdir(exist_ok=True)
    with wheel_for_site(read_wheel(whole), embeddings, **key) as wheel:
        return Path(shutil.copy(wheel.path, folder))


class Installation:
    """A wheel, installed by pip into a folder; what it needs comes from these tests' Python."""

    def __init__(self, wheel: Path, folder: Path) -> None:
        self.folder = folder
        words = ["install", "--quiet", "--no-deps", "--no-index", "--no-compile", "--target"]
        subprocess.run([sys.executable, "-m", "pip", *words, folder, wheel], check=True)

    def edge_reid(self, *words: object, cwd: Path) -> Outcome:
        """How `edge-reid …` of it ends, in another folder than a checkout."""
        done = subprocess.run(
            [sys.executable, "-m", "edge_reid", *map(str, words)],
            cwd=cwd,
            env=os.environ | {"PYTHONPATH": str(self.folder), "COLUMNS": "1000"},
            capture_output=True,
            text=True,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)
