"""An unknown person whom a device remembers gets a name."""

from __future__ import annotations

from pathlib import Path

from edge_reid.core.types import Template
from edge_reid.enrolment.enrolment import Enrolment, prepare_enrolment
from edge_reid.enrolment.photo_embedding import EmbeddedView, PhotoEmbedder
from edge_reid.gallery.export_file import write_portable
from edge_reid.gallery.identity import identity_name
from edge_reid.gallery.store import GalleryStore
from edge_reid.strangers.stranger import PROMOTED, templates_of
from edge_reid.strangers.stranger_store import StrangerStore


def promote(strangers: StrangerStore, stranger: str, name: str, gallery: Path) -> int:
    """Enroll a stranger by the best views that are kept, and forget them as a stranger.

    Args:
        strangers: the device's.
        stranger: the anonymous name.
        name: who it is.
        gallery: the file of the device's own gallery.

    Returns:
        How many templates were added; those of an attempt that was interrupted are not again.

    Raises:
        GalleryError: there is no such stranger, the name is none, or the gallery cannot be
            written.
    """
    templates = _templates(strangers, stranger, name)
    with GalleryStore.open(gallery, model_id=strangers.model_id) as store:
        known = store.sources(templates[0].identity)
        new = [template for template in templates if template.source_sha256 not in known]
        if new:
            store.add_all(new)
    strangers.forget(stranger)
    return len(new)


def prepare_promotion(
    strangers: StrangerStore,
    stranger: str,
    name: str,
    embedder: PhotoEmbedder,
    gallery: GalleryStore,
) -> Enrolment:
    """What `promote` would enroll, to be looked at before. Nothing is written.

    Raises:
        GalleryError: there is no such stranger, the name is none, or the gallery cannot be read.
    """
    views = [
        EmbeddedView(Path(f"{stranger}, view {number}"), embedding)
        for number, embedding in enumerate(strangers.looks(stranger)[:PROMOTED], start=1)
    ]
    return prepare_enrolment({identity_name(name): views}, embedder, gallery)


def export_stranger(strangers: StrangerStore, stranger: str, name: str, file: Path) -> int:
    """Write what `promote` would enroll to a file for `gallery import`; they stay a stranger.

    Returns:
        How many templates were written.

    Raises:
        GalleryError: there is no such stranger, the name is none, or the file cannot be written.
        UsageError: a file of another kind is there.
    """
    templates = _templates(strangers, stranger, name)
    write_portable(file, templates, strangers.model_id, strangers.dimension)
    return len(templates)


def _templates(strangers: StrangerStore, stranger: str, name: str) -> tuple[Template, ...]:
    seen_utc_s = strangers.find(stranger).last_seen_utc_s
    return templates_of(strangers.looks(stranger), identity_name(name), seen_utc_s)
