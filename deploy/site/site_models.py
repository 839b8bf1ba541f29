"""Models that a site's file names: of a shipped one the name is enough, and a file beside wins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from deploy.site import installed_paths
from deploy.site.agent_config import Table
from deploy.site.site_mistakes import as_table
from edge_reid.core.bundled_models import ModelKind, is_bare_name, model_file
from edge_reid.core.config.settings_file import merged

_KINDS: tuple[ModelKind, ...] = ("detector", "embedding")


def with_models_found(table: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The table with files of the workstation as the models of `[agent.models]`, and with files of
    the device as the detectors of cameras. What is not found stays as it was written.

    Args:
        table: of the site.
        folder: that relative paths begin at.
    """
    models = as_table(as_table(table.get("agent")).get("models"))
    local: dict[str, Any] = {
        kind: str(_found(models[kind], kind, folder) or folder / Path(models[kind]).expanduser())
        for kind in _KINDS
        if isinstance(models.get(kind), str) and models[kind]
    }
    whole = merged(table, {"agent": {"models": local}}) if local else table
    for device, camera, name in _cameras_with_detector(table):
        if is_bare_name(Path(name)) and (file := _found(name, "detector", folder)):
            own = {"detect": {"model": str(installed_paths.model(file.name))}}
            whole = merged(whole, {"devices": {device: {"cameras": {camera: own}}}})
    return whole


def unknown_names(table: Table, folder: Path) -> Iterator[str]:
    """Mistakes in `[agent.models]`: names that are neither a file's nor a shipped model's.

    What ends in `.tflite` is a file's, which only who makes a bundle needs to have.
    """
    models = as_table(as_table(table.get("agent")).get("models"))
    for kind in _KINDS:
        given = models.get(kind)
        if isinstance(given, str) and given and not given.endswith(".tflite"):
            try:
                model_file(Path(given), kind, folder)
            except ValueError as error:
                yield f"agent.models.{kind}: {error}"


def carried_detectors(cameras: Iterable[Table], folder: Path) -> Iterator[Path]:
    """Files of the detectors that cameras have of their own, as far as a bundle brings them.
    Another path is that of a file which the device has from elsewhere.

    Args:
        cameras: their tables, as `with_models_found` leaves them.
        folder: that relative paths begin at.
    """
    for table in cameras:
        own = PurePosixPath(as_table(table.get("detect")).get("model", ""))
        is_brought = own == installed_paths.model(own.name)
        if is_brought and (file := _found(own.name, "detector", folder)):
            yield file


def _found(given: str, kind: ModelKind, folder: Path) -> Path | None:
    try:
        return model_file(Path(given).expanduser(), kind, folder)
    except ValueError:
        return None


def _cameras_with_detector(table: Table) -> Iterator[tuple[str, str, str]]:
    """Device, camera, and what its own table says."""
    for device, its in as_table(table.get("devices")).items():
        for camera, own in as_table(as_table(its).get("cameras")).items():
            name = as_table(as_table(own).get("detect")).get("model")
            if isinstance(name, str):
                yield device, camera, name
