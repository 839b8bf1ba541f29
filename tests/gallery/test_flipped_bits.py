"""One bit of a file on the disk is another: it does no harm, or the file is said to be damaged.

No name, no template and no number becomes another one that looks as valid.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from flips import chosen_bits, each_flipped
from gallery_examples import DIMENSION, MODEL, template

from edge_reid.core.errors import GalleryError
from edge_reid.gallery.store import GalleryStore

ALL = 1 << 20
SOME = (300, 600)
EVERY = (ALL, ALL)
TIMES = [SOME, pytest.param(*EVERY, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])]


def contents_of(path: Path) -> tuple[object, ...]:
    """All that a gallery says."""
    with GalleryStore.open(path, model_id=MODEL) as store:
        snapshot = store.snapshot()
        return (
            snapshot.identities,
            snapshot.labels.tobytes(),
            snapshot.vectors.tobytes(),
            snapshot.version,
            store.identities(),
            store.asides(),
            store.erasures(),
            store.published("stick"),
            [(it.identity, it.vector.tobytes(), it.quality) for it in store.templates()],
        )


@pytest.mark.parametrize(("first_page", "elsewhere"), TIMES)
def test_a_gallery(tmp_path: Path, first_page: int, elsewhere: int) -> None:
    path = tmp_path / "gallery.db"
    with GalleryStore.create(path, MODEL, DIMENSION) as store:
        store.add_all([template(name, seed) for name in ("ana", "zoe") for seed in range(6)])
        store.add(template("gone"))
        store.remove("gone")
        store.set_aside({3: "looks like somebody else"})
    whole = contents_of(path)
    bits = chosen_bits(path.stat().st_size, first_page=first_page, elsewhere=elsewhere)
    told = 0
    for bit in each_flipped(path, bits):
        try:
            assert contents_of(path) == whole, bit
            with GalleryStore.open(path) as store:
                store.add(template("emil"))
                store.remove("zoe")
            with GalleryStore.open(path) as store:
                assert store.snapshot().identities == ("ana", "emil"), bit
        except GalleryError as error:
            told += 1
            assert "damaged" in str(error), (bit, str(error))
            assert "restore it from a copy" in str(error), (bit, str(error))
    assert len(bits) // 2 < told < len(bits)
