"""A gallery that a device starts with, until another is published."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from edge_reid.core.errors import GalleryError
from edge_reid.core.manifest import model_in_words, shipped_name
from edge_reid.gallery.gallery_head import open_head
from edge_reid.gallery.replica import Replica
from edge_reid.gallery.store import GalleryStore
from edge_reid.signing.keys import PublicKey


@dataclass(frozen=True, slots=True)
class FirstGallery:
    """A gallery's file as it goes to a device."""

    body: bytes
    model_id: str
    """Of its embeddings."""


def first_gallery(path: Path, model_ids: Sequence[str], key: PublicKey | None) -> FirstGallery:
    """A gallery's file as it goes to a device; what is open at `path` is not disturbed.

    Args:
        path: a gallery that people are enrolled into or, with a key, one that an agent has synced.
        model_ids: of the models that the device may run, the site's or the default first.
        key: that published galleries are signed with; None: the device does not sync.

    Raises:
        GalleryError: it is of another kind or model, damaged, or signed by another key.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "gallery.db")
        _copy(path, copy)
        model_id = _model_of_store(copy) if key is None else _model_of_replica(path, copy, key)
        _check_model(path, model_ids, model_id)
        return FirstGallery(copy.read_bytes(), model_id)


def _copy(path: Path, copy: Path) -> None:
    try:
        uri = f"{path.resolve().as_uri()}?mode=ro"
        with (
            closing(sqlite3.connect(uri, uri=True)) as source,
            closing(sqlite3.connect(copy)) as to,
        ):
            source.backup(to)
            to.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        raise GalleryError(f"files.gallery {path}: cannot be read: {error}") from error


def _model_of_store(copy: Path) -> str:
    with GalleryStore.open(copy) as store:
        return store.model_id


def _model_of_replica(path: Path, copy: Path, key: PublicKey) -> str:
    with Replica.open(copy) as replica:
        held = replica.in_force
    if held is None:
        raise GalleryError(f"files.gallery {path}: expected a synced gallery, no version is in it")
    return open_head(held.sealed, key).model_id


def _check_model(path: Path, wanted: Sequence[str], its: str) -> None:
    if its not in wanted:
        raise GalleryError(
            f"files.gallery {path}: expected embeddings of model {model_in_words(wanted[0])}, got "
            f"{model_in_words(its)}; give {shipped_name(its) or 'that model'} as embedding in "
            "[agent.models], or take a gallery of the other one"
        )
