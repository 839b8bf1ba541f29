"""What the numbers of a run depend on beside its recipe: `environment.json` in its folder."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import keras

from edge_reid import __version__
from edge_reid.core.errors import TrainingError
from edge_reid.core.files import write_whole
from trainer.data.environment_file import ENVIRONMENT, read_environment
from trainer.data.run_data import RunData, fingerprint
from trainer.run.checkpoint import TrainingPosition
from trainer.run.devices import accelerators

_PACKAGES = ("keras", "numpy", "opencv-python-headless")
_BACKEND_PACKAGES = {"tensorflow": ("tensorflow",), "jax": ("jax", "jaxlib"), "torch": ("torch",)}


def write_environment(run: Path, data: RunData, at: TrainingPosition, precision: str) -> None:
    """Note the data, and this process among those that have worked on the run.

    Raises:
        TrainingError: the run began with other pictures, so it cannot go on with these; or the
            note of them is damaged.
    """
    before = read_environment(run) if at != TrainingPosition() else None
    facts = _data_facts(data)
    if before and before.pictures.sha256 != facts["sha256"]:
        raise TrainingError(
            f"run {run}: expected the {before.pictures.training_images} training pictures of "
            f"{before.pictures.training_identities} people that it began with, got "
            f"{facts['training_images']} of {facts['training_identities']}, or of other names or "
            f"sizes; put the data back, or begin anew with --start {run}/weights.npz"
        )
    processes = before.processes if before else ()
    here = {"from_stage": at.stage, "from_step": at.step, "precision": precision} | _machine()
    whole = {"data": facts, "processes": [*processes, here]}
    write_whole(run / ENVIRONMENT, json.dumps(whole, indent=2).encode() + b"\n")


def _data_facts(data: RunData) -> dict[str, Any]:
    return {
        "sha256": fingerprint(data),
        "training_images": len(data.train),
        "training_identities": len(data.train.identities),
        "unlabelled_images": len(data.unlabelled),
        "validation_images": len(data.validation),
        "held_out_identities": list(data.held_out_names),
        "held_out_photos": list(data.held_out_photos),
        "identities_left_out": list(data.left_out),
        "unreadable_files": [file.reason for file in data.unreadable],
        "unused_files": [str(path) for path in data.unused],
    }


def _machine() -> dict[str, Any]:
    backend = keras.backend.backend()
    packages = (*_PACKAGES, *_BACKEND_PACKAGES.get(backend, ()))
    return {
        "started_utc": dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
        "edge-reid": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "accelerators": accelerators(),
        "backend": backend,
        **{name: metadata.version(name) for name in packages},
    }
