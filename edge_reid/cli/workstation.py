"""The workstation's side of verbs, looked up by name: a box has neither trainer nor deploy."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any, Literal

from edge_reid.core.errors import EdgeReidError
from edge_reid.core.extras import how_to_install

PACKAGES = {
    "deploy": ("deploy", "packaging", "tomli_w", "zstandard"),
    "trainer": ("trainer", "keras"),
    "scores": ("trainer",),
}
"""What must be there for each part. Data checks and scores need no Keras."""
EXTRAS = {"deploy": "deploy", "trainer": "trainer", "scores": "trainer"}


def workstation(part: Literal["deploy", "trainer", "scores"], module: str) -> Any:
    """A module of a part.

    Raises:
        EdgeReidError: the part is not installed here.
        TrainingError: the backend that KERAS_BACKEND names is not installed here.
    """
    if missing := [name for name in PACKAGES[part] if not importlib.util.find_spec(name)]:
        raise EdgeReidError(
            f"this verb needs {missing[0]}, which is not installed here; on a workstation: "
            f"{how_to_install(EXTRAS[part])}"
        )
    if part == "trainer":
        importlib.import_module("trainer.network.backend").start_backend()
    return importlib.import_module(module)
