"""A gallery as a text file, for `gallery export` and `import`: embeddings and hashes, no photos.

JSON lines. The first describes the file, every other one is a template:

    {"format": "edge-reid.gallery/1", "model_id": "0f5e…", "dimension": 256, "templates": 2}
    {"identity": "Alice", "vector": "<base64 of D little-endian float32>", "quality": 0.7,
     "source_sha256": "9a1c…", "created_utc_s": 1760000000.0}
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, BinaryIO, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge_reid.core.errors import GalleryError, ModelMismatchError
from edge_reid.core.files import check_replaceable, whole_file
from edge_reid.core.manifest import model_in_words
from edge_reid.core.types import Template
from edge_reid.core.validation_errors import describe_mistakes
from edge_reid.gallery.validation import check_template
from edge_reid.matching.vectors import pack, unpack

_HEAD_BYTES_MAX = 1 << 12
"""Far more than the first line of an export has."""

Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class _Head(_Line):
    format: Literal["edge-reid.gallery/1"]
    model_id: str
    dimension: Annotated[int, Field(gt=0)]
    templates: Annotated[int, Field(ge=0)]


class _Row(_Line):
    identity: str
    vector: str
    quality: Finite
    source_sha256: str
    created_utc_s: Finite


def write_portable(
    path: Path, templates: Sequence[Template], model_id: str, dimension: int
) -> None:
    """Write all templates, whole or not at all, in a file that only its owner may read.

    It takes the place of an older export, or of an empty file.

    Raises:
        UsageError: a file of another kind is there.
        GalleryError: nothing can be written there.
    """
    check_replaceable(path, f"export {path}", "an older export", _is_export)
    head = _Head(
        format="edge-reid.gallery/1",
        model_id=model_id,
        dimension=dimension,
        templates=len(templates),
    )
    try:
        with whole_file(path.resolve(), mode=0o600) as file:
            file.write(head.model_dump_json().encode() + b"\n")
            for template in templates:
                file.write(_row(template).model_dump_json().encode() + b"\n")
    except OSError as error:
        raise GalleryError(
            f"export {path}: cannot be written: {error.strerror}; give another path"
        ) from error


def _is_export(file: BinaryIO) -> bool:
    try:
        return bool(_Head.model_validate_json(file.readline(_HEAD_BYTES_MAX)))
    except ValidationError:
        return False


def read_portable(path: Path, model_id: str, dimension: int) -> tuple[Template, ...]:
    """The templates of a file that `write_portable` wrote, each checked.

    Raises:
        ModelMismatchError: they are of another model than the one given.
        GalleryError: the file cannot be read, is of another kind or cut short, or a line is wrong.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise GalleryError(f"import {path}: cannot be read: {error.strerror}") from error
    head = _head(path, lines)
    if (head.model_id, head.dimension) != (model_id, dimension):
        raise ModelMismatchError(
            f"import {path}: expected embeddings of model {model_in_words(model_id)} with "
            f"{dimension} numbers, got model {model_in_words(head.model_id)} with "
            f"{head.dimension}; enroll the people again from photos"
        )
    if len(lines) - 1 != head.templates:
        raise GalleryError(
            f"import {path}: expected {head.templates} templates as its first line says, "
            f"got {len(lines) - 1}; export it again"
        )
    return tuple(_templates(path, lines[1:], head))


def _head(path: Path, lines: Sequence[bytes]) -> _Head:
    try:
        return _Head.model_validate_json(lines[0] if lines else b"")
    except ValidationError as error:
        raise GalleryError(
            f"import {path}: expected what `edge-reid gallery export` writes, "
            f"the first line is not its: {describe_mistakes(error)[0]}"
        ) from error


def _templates(path: Path, lines: Sequence[bytes], head: _Head) -> Iterator[Template]:
    for number, line in enumerate(lines, start=2):
        try:
            template = _template(_Row.model_validate_json(line), head)
            check_template(template, head.model_id, head.dimension)
        except ValidationError as error:
            mistakes = "; ".join(describe_mistakes(error))
            raise GalleryError(f"import {path}, line {number}: {mistakes}") from error
        except (GalleryError, ValueError) as error:
            raise GalleryError(f"import {path}, line {number}: {error}") from error
        yield template


def _row(template: Template) -> _Row:
    return _Row(
        identity=template.identity,
        vector=base64.b64encode(pack(template.vector)).decode("ascii"),
        quality=template.quality,
        source_sha256=template.source_sha256,
        created_utc_s=template.created_utc_s,
    )


def _template(row: _Row, head: _Head) -> Template:
    return Template(
        identity=row.identity,
        vector=unpack([base64.b64decode(row.vector, validate=True)], head.dimension)[0],
        model_id=head.model_id,
        quality=row.quality,
        source_sha256=row.source_sha256,
        created_utc_s=row.created_utc_s,
    )
