"""Checks of a template before it enters a gallery."""

from __future__ import annotations

import re

import numpy as np

from edge_reid.core.anonymous_names import resembles_stranger
from edge_reid.core.errors import GalleryError, ModelMismatchError
from edge_reid.core.types import END_UTC_S, Template
from edge_reid.gallery.identity import identity_name
from edge_reid.matching.vectors import are_unit

_SHA256 = re.compile(r"[0-9a-f]{64}")


def check_name(identity: str) -> None:
    """Raise GalleryError if a name looks like that of a stranger."""
    if resembles_stranger(identity):
        raise GalleryError(
            f"template of {identity_name(identity)!r}: expected the name of a person, got one like "
            "those of unknown people; give another name"
        )


def check_template(template: Template, model_id: str, dimension: int) -> None:
    """Raise GalleryError unless a gallery of this model and dimension may take the template.

    Raises:
        ModelMismatchError: the template is of another model.
        GalleryError: its name, shape, norm, quality, source or time is wrong.
    """
    where = f"template of {identity_name(template.identity)!r}"
    check_name(template.identity)
    if template.model_id != model_id:
        raise ModelMismatchError(
            f"{where}: expected an embedding of the gallery's model {model_id}, "
            f"got one of {template.model_id}; embed the photo with that model"
        )
    if template.vector.shape != (dimension,):
        raise GalleryError(
            f"{where}: expected {dimension} numbers, got shape {template.vector.shape}"
        )
    if not are_unit(template.vector[np.newaxis]):
        norm = np.linalg.norm(template.vector)
        raise GalleryError(f"{where}: expected a vector of unit norm, got {norm:.4g}")
    if not 0.0 <= template.quality <= 1.0:
        raise GalleryError(f"{where}: expected a quality of 0 to 1, got {template.quality:.4g}")
    if not _SHA256.fullmatch(template.source_sha256):
        raise GalleryError(f"{where}: expected a hex SHA-256, got {template.source_sha256!r:.40}")
    if not 0.0 <= template.created_utc_s < END_UTC_S:
        raise GalleryError(
            f"{where}: expected a time of this age in Unix seconds, "
            f"got {template.created_utc_s:.6g}"
        )
