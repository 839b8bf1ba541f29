"""The shipped models inside our own wheel: what they are, and the wheel without those that no
device of a site runs, and with signatures of the others.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from deploy.bundle.sbom import Model
from deploy.bundle.wheel import Wheel, read_wheel
from edge_reid.core.errors import BundleError
from edge_reid.core.files import UNREADABLE_ZIP
from edge_reid.core.manifest import EmbeddingManifest, parse_manifest
from edge_reid.signing.keys import SigningKey
from edge_reid.signing.model_signature import SIGNATURE_SUFFIX, sign_model

_FOLDER = PurePosixPath("edge_reid/models")
_ABOUT_ALL = "README.md"
_RECORD = ".dist-info/RECORD"
_DAMAGED = tuple(kind for kind in UNREADABLE_ZIP if kind is not OSError)
"""An OSError may be that of the copy being written."""


def models_inside(wheel: Wheel) -> dict[str, Model]:
    """Manifests of the models in our wheel, by the names of their `.tflite` files.

    Raises:
        ModelError: a manifest is malformed.
        BundleError: the wheel is damaged, or a model is not the one of its manifest.
    """
    with _opened(wheel) as archive:
        files = map(PurePosixPath, archive.namelist())
        models = [file for file in files if file.parent == _FOLDER and file.suffix == ".tflite"]
        return {file.name: _manifest(wheel, archive, file) for file in models}


def _manifest(wheel: Wheel, archive: zipfile.ZipFile, model: PurePosixPath) -> Model:
    path = model.with_suffix(".json")
    if str(path) not in archive.namelist():
        raise BundleError(f"wheel {wheel.path}: expected {path} in it, got none; build it anew")
    manifest = parse_manifest(archive.read(str(path)), wheel.path / path)
    if hashlib.sha256(archive.read(str(model))).hexdigest() != manifest.sha256:
        raise BundleError(
            f"wheel {wheel.path}: {model} is not the model that its manifest says; build it anew"
        )
    return manifest


@contextmanager
def wheel_for_site(
    wheel: Wheel, embeddings: Collection[str], key: SigningKey | None = None
) -> Iterator[Wheel]:
    """Our wheel without the embedding models that a site does not run, and without what only
    trains: weights and recipes. Detectors stay, since `edge-reid doctor --camera` tries them all.

    The same wheel and key give the same bytes. They are gone after the block.

    Args:
        wheel: ours. One without any models is given back as it is.
        embeddings: file names of the shipped models that stay; empty: the site brings its own.
        key: signs the manifests of what stays; None: nobody does.

    Raises:
        ModelError: a manifest is malformed.
        BundleError: the wheel is damaged, lacks that model, or the copy cannot be written.
    """
    models = models_inside(wheel)
    if not models:
        yield wheel
        return
    inside = {name for name, its in models.items() if isinstance(its, EmbeddingManifest)}
    if missing := [name for name in embeddings if name not in inside]:
        raise BundleError(
            f"wheel {wheel.path}: expected the site's embedding model {missing[0]} in it, got "
            f"{', '.join(sorted(inside)) or 'none'}; give the wheel of this release, or a path "
            "as embedding in [agent.models]"
        )
    stems = {Path(name).stem for name in models.keys() - (inside - set(embeddings))}
    with TemporaryDirectory() as folder:
        copy = Path(folder, wheel.path.name)
        signatures = _signatures(wheel, stems, key) if key else {}
        _copy(wheel, copy, lambda name: _stays(PurePosixPath(name), stems), signatures)
        yield read_wheel(copy)


def _stays(file: PurePosixPath, stems: set[str]) -> bool:
    """Whether it is no model's, or one's that stays: `NAME.tflite`, `NAME.json`, `NAME.md`. Whose
    signature there was, is who made another bundle.
    """
    if file.parent != _FOLDER or file.name == _ABOUT_ALL:
        return True
    return file.stem in stems and file.suffix != SIGNATURE_SUFFIX


def _signatures(wheel: Wheel, stems: set[str], key: SigningKey) -> dict[str, bytes]:
    """Of these models, by the names of their files in the wheel."""
    with _opened(wheel) as archive:
        return {
            str(_FOLDER / f"{stem}{SIGNATURE_SUFFIX}"): sign_model(
                archive.read(str(_FOLDER / f"{stem}.json")), key
            )
            for stem in sorted(stems)
        }


def _copy(
    wheel: Wheel, copy: Path, stays: Callable[[str], bool], more: Mapping[str, bytes]
) -> None:
    """The files in their order, with their dates and modes, `more` before the `RECORD`, and that of
    these alone.
    """
    try:
        with _opened(wheel) as source, zipfile.ZipFile(copy, "w") as out:
            for item in source.infolist():
                if not stays(item.filename):
                    continue
                body = source.read(item)
                if item.filename.endswith(_RECORD):
                    body = _without(body, stays) + _listed(more)
                    for name, content in more.items():
                        out.writestr(_as_before(item, name), content)
                out.writestr(_as_before(item), body)
    except OSError as error:
        raise BundleError(
            f"wheel {copy}: cannot be written: {error.strerror}; make room, or set TMPDIR"
        ) from error


def _as_before(item: zipfile.ZipInfo, name: str | None = None) -> zipfile.ZipInfo:
    """`name`: of another file with its date and mode."""
    copy = zipfile.ZipInfo(name or item.filename, item.date_time)
    copy.compress_type, copy.external_attr = item.compress_type, item.external_attr
    copy.create_system = item.create_system  # else another system would give other bytes
    return copy


def _without(record: bytes, stays: Callable[[str], bool]) -> bytes:
    """The lines of a `RECORD` (PATH,HASH,SIZE) whose files stay."""
    lines = record.decode().splitlines(keepends=True)
    rows = csv.reader(lines)
    return "".join(
        line for line, row in zip(lines, rows, strict=True) if not row or stays(row[0])
    ).encode()


def _listed(files: Mapping[str, bytes]) -> bytes:
    """Lines of a `RECORD`."""
    lines = (
        f"{name},sha256={_digest(content)},{len(content)}\n" for name, content in files.items()
    )
    return "".join(lines).encode()


def _digest(content: bytes) -> str:
    """As a `RECORD` has it."""
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


@contextmanager
def _opened(wheel: Wheel) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(wheel.path) as archive:
            yield archive
    except _DAMAGED as error:
        raise BundleError(
            f"wheel {wheel.path}: expected a wheel, it is damaged: {error}; build it anew"
        ) from error
