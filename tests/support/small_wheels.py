"""Small wheels, whole enough for pip, and a folder of them in the place of an index."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

AARCH64 = "cp{python}-cp{python}-manylinux_2_28_aarch64"
OURS = (
    "ai-edge-litert>=1.2; platform_machine != 'armv7l'",
    "tflite-runtime>=2.14; platform_machine == 'armv7l'",
    "numbers-to-go>=1.26",
    "oldtoml>=2.0; python_version < '3.11'",
    "tflite-runtime>=2.14; extra == 'tflite-runtime'",
    "numbers-to-go<2; extra == 'tflite-runtime'",
)
"""What our own wheel needs, with every kind of marker that the real one has."""


def make_wheel(
    folder: Path,
    name: str,
    version: str,
    *,
    tag: str = "py3-none-any",
    requires: Iterable[str] = (),
    extras: Iterable[str] = (),
    more: Iterable[str] = (),
    brings: Mapping[str, bytes] | None = None,
) -> Path:
    """A wheel without code; `brings`: other files, by their paths."""
    stem = f"{name.replace('-', '_')}-{version}"
    path = folder / f"{stem}-{tag}.whl"
    metadata = [
        "Metadata-Version: 2.1",
        f"Name: {name}",
        f"Version: {version}",
        *(f"Provides-Extra: {extra}" for extra in extras),
        *(f"Requires-Dist: {need}" for need in requires),
        *more,
    ]
    files = {"METADATA": "\n".join(metadata) + "\n"}
    files["WHEEL"] = f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n"
    inside = dict(brings or {})
    inside |= {f"{stem}.dist-info/{file}": text.encode() for file, text in files.items()}
    record = f"{stem}.dist-info/RECORD"
    inside[record] = "".join(f"{file},,\n" for file in (*inside, record)).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for file, content in inside.items():
            archive.writestr(zipfile.ZipInfo(file), content)
    return path


def make_index(folder: Path) -> Path:
    """All that `OURS` needs, for several kinds of device."""
    folder.mkdir()
    for python in ("310", "311", "313"):
        tag = AARCH64.format(python=python)
        make_wheel(folder, "ai-edge-litert", "2.3", tag=tag, requires=["leaf"])
        make_wheel(folder, "numbers-to-go", "1.26", tag=tag)
        make_wheel(folder, "numbers-to-go", "2.4", tag=tag)
    for python in ("310", "311"):
        make_wheel(folder, "tflite-runtime", "2.14", tag=AARCH64.format(python=python))
    make_wheel(folder, "leaf", "1.0", more=["License-Expression: MIT"])
    make_wheel(folder, "oldtoml", "2.0", more=["License: MIT License"])
    make_wheel(folder, "pip", "26.0", more=["Classifier: License :: OSI Approved :: MIT License"])
    return folder


def own(folder: Path, requires: Iterable[str] = OURS) -> Path:
    """A wheel that says it is edge-reid."""
    return make_wheel(folder, "edge-reid", "0.1.0", requires=requires, extras=["tflite-runtime"])


def own_with_models(folder: Path) -> Path:
    """The same with all shipped models in it, as a wheel of edge-reid that somebody gives."""
    there = Path(__file__).resolve().parents[2] / "models"
    models = {f"edge_reid/models/{file.name}": file.read_bytes() for file in there.iterdir()}
    return make_wheel(
        folder, "edge-reid", "0.1.0", requires=OURS, extras=["tflite-runtime"], brings=models
    )


def take_wheels_from(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip knows this folder, and no network."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    monkeypatch.delenv("PIP_CONSTRAINT", raising=False)
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
