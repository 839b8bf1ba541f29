"""The shipped models: what they are called, and where they lie, inside the wheel or beside the
package in a checkout. A bundle leaves those embedding models out that its site does not name.
"""

from __future__ import annotations

import logging
import os
from functools import cache
from pathlib import Path
from typing import Literal

ModelKind = Literal["detector", "embedding"]

DETECTOR = "nanodet_g_person_512x288.tflite"
DETECTORS = (
    "nanodet_g_person_320x192.tflite",
    DETECTOR,
    "person_detection_0201_384x384.tflite",
    "person_detection_0201_640x640.tflite",
)
"""All that are shipped."""
EMBEDDING = "person_reid_osnet_160x80_int8.tflite"
QUICK_EMBEDDING = "person_reid_osnet_small_160x80_int8.tflite"
"""Nearly as good, in two thirds of the time."""
MOBILENET_EMBEDDING = "person_reid_mobilenetv2_192x96_int8.tflite"
"""The default of 0.8 to 0.11, which galleries may be of."""
SMALLER_EMBEDDING = "person_reid_mobilenetv2_160x80_int8.tflite"
"""For devices on which embedding takes most of the time."""
QUICK_OPEN_EMBEDDING = "person_reid_open_192x96_int8.tflite"
"""For products, which those before are not, in the time of the default."""
OPEN_EMBEDDING = "person_reid_open_256x128_int8.tflite"
"""Apache-2.0, of the network that the one before was trained from."""
LARGE_OPEN_EMBEDDING = "person_reid_open_large_256x128_int8.tflite"
"""The same, of a larger network: that which the default was trained from."""
EMBEDDINGS = (
    EMBEDDING,
    QUICK_EMBEDDING,
    MOBILENET_EMBEDDING,
    SMALLER_EMBEDDING,
    QUICK_OPEN_EMBEDDING,
    OPEN_EMBEDDING,
    LARGE_OPEN_EMBEDDING,
)
"""All that are shipped."""
DEFAULT_EMBEDDINGS = (EMBEDDING, MOBILENET_EMBEDDING)
"""The default, and those of earlier releases, which galleries may be of where nobody named one."""
CHECKPOINT = "person_reid_osnet.weights.npz"
"""The float weights behind `EMBEDDING`, which fine-tuning starts from."""
MOBILENET_CHECKPOINT = "person_reid_mobilenetv2.weights.npz"
"""Those behind `MOBILENET_EMBEDDING`, likewise."""
OPEN_CHECKPOINT = "person_reid_open.weights.npz"
"""Those behind `QUICK_OPEN_EMBEDDING`, likewise."""
MODEL_OF = {
    CHECKPOINT: EMBEDDING,
    MOBILENET_CHECKPOINT: MOBILENET_EMBEDDING,
    OPEN_CHECKPOINT: QUICK_OPEN_EMBEDDING,
}
"""What is shipped of each of them: as a device runs it."""

_DEFAULTS: dict[ModelKind, str] = {"detector": DETECTOR, "embedding": EMBEDDING}
_SHIPPED: dict[ModelKind, tuple[str, ...]] = {"detector": DETECTORS, "embedding": EMBEDDINGS}
_WORDS: dict[ModelKind, str] = {"detector": "detector", "embedding": "embedding model"}
_SUFFIX = ".tflite"
_log = logging.getLogger(__name__)
_PACKAGE = Path(__file__).resolve().parents[1]


def shipped_model(name: str) -> Path:
    """Path of a shipped model, whether or not the file is there."""
    inside_wheel = _PACKAGE / "models" / name
    return inside_wheel if inside_wheel.exists() else _PACKAGE.parent / "models" / name


def default_model(kind: ModelKind) -> Path:
    """What is meant where no model is given: the default or, if a bundle left that out, the shipped
    model that it brought in its place. The default's path, if there is none at all.
    """
    here, default = _here(kind), _DEFAULTS[kind]
    return shipped_model(default if default in here or not here else here[0])


def _here(kind: ModelKind) -> list[str]:
    """Shipped models that this installation has."""
    return [name for name in _SHIPPED[kind] if shipped_model(name).is_file()]


def is_bare_name(given: Path) -> bool:
    """Whether it is one word without a folder, as the names of shipped models are."""
    return not given.is_absolute() and len(given.parts) == 1


def model_file(
    given: Path, kind: ModelKind, folder: Path = Path(), *, or_run: bool = False
) -> Path:
    """The file of a model that somebody gives by its path or, if it is shipped, by its name.

    A name may lack its `.tflite`. A file of that name wins over the shipped model, and the log says
    so once.

    Args:
        given: path, of which only a bare name is looked up; another is taken as it is.
        kind: what the model is for.
        folder: where a relative path begins.
        or_run: whether a folder may be meant, of a training run; else it hides no shipped model.

    Raises:
        ValueError: of a bare name: no file has it, and no shipped model of that kind that is in
            this installation.
    """
    if not is_bare_name(given):
        return folder / given
    name = given.name.removesuffix(_SUFFIX) + _SUFFIX
    is_shipped_name = name in _SHIPPED[kind]
    for file in (folder / given, folder / name):
        hides_nothing = is_shipped_name and not or_run and _is_folder(file)
        if _exists(file) and not hides_nothing:
            if is_shipped_name:
                _tell_of_hidden(name, file.absolute())
            return file
    if not is_shipped_name:
        raise ValueError(f'{wanted_model(kind)}, got "{given}"; shipped are {shipped_names(kind)}')
    found = shipped_model(name)
    if complaint := left_out(found):
        raise ValueError(complaint)
    return found


def model_mistake(file: Path, kind: ModelKind, *, or_run: bool = False) -> str | None:
    """What is wrong with a path as that of a model, before anything is read; None: it may be one.

    Args:
        file: as somebody gave it, or `model_file` found it. Of a shipped one loading it says more.
        kind: what the model is for.
        or_run: whether it may be a folder, of a training run.
    """
    why = "" if is_shipped(file) else _why_none(file, or_run=or_run)
    run = ", or the folder of a run" if or_run else ""
    line = f"{wanted_model(kind)}{run}, got {file}, {why}; shipped are {shipped_names(kind)}"
    return line if why else None


def _why_none(file: Path, *, or_run: bool) -> str:
    """Why a path is not a model's, nor perhaps a run's; empty: it may be."""
    if _is_folder(file):
        return "" if or_run else "which is a folder"
    if not _exists(file):
        return "which is not there"
    return "which is a CSV of pictures" if file.suffix.lower() == ".csv" else ""


def wanted_model(kind: ModelKind) -> str:
    """How messages begin when something else is given."""
    return f"expected a file or the name of a shipped {_WORDS[kind]}"


def _exists(file: Path) -> bool:
    return os.path.exists(file)  # noqa: PTH110 - Path.exists raises if the name is too long


def _is_folder(file: Path) -> bool:
    return os.path.isdir(file)  # noqa: PTH112 - as above


@cache  # a configuration is read more than once
def _tell_of_hidden(name: str, file: Path) -> None:
    shipped = shipped_model(name)
    if shipped.exists() and file.samefile(shipped):
        return
    _log.warning(
        "model %s: %s is taken, which has the name of a shipped model; rename it if that one is "
        "meant",
        name.removesuffix(_SUFFIX),
        file,
    )


def shipped_names(kind: ModelKind) -> str:
    """Names of the shipped models of a kind that this installation has, for messages."""
    default = default_model(kind).name
    named = (
        name.removesuffix(_SUFFIX) + (" (the default)" if name == default else "")
        for name in _here(kind)
    )
    return ", ".join(named) or "none here"


def left_out(path: Path) -> str | None:
    """What to say of a shipped model that this installation does not have; None of any other."""
    kind = _kind_of(path.name)
    if kind is None or not is_shipped(path) or path.is_file():
        return None
    here = [name.removesuffix(_SUFFIX) for name in _here(kind)]
    got = f"only {', '.join(here)}" if here else f"no {_WORDS[kind]} by name"
    instead = f"name {'one of these' if len(here) > 1 else 'that one'}" if here else "give a path"
    return (
        f"expected {path.stem} in this installation, got {got}, as a bundle leaves out what its "
        f"site does not name; {instead}, or name {path.stem} in [agent.models] of site.toml and "
        "make the bundle anew"
    )


def is_shipped(path: Path) -> bool:
    """Whether it is the file of a shipped model, and no copy of it."""
    return _kind_of(path.name) is not None and path == shipped_model(path.name)


def _kind_of(name: str) -> ModelKind | None:
    """What the shipped model of that file name is for; None: there is none of it."""
    return next((kind for kind, names in _SHIPPED.items() if name in names), None)


def called(path: Path) -> str:
    """What a person types for a model: the name of a shipped one, else its path."""
    return path.stem if is_shipped(path) else str(path)
