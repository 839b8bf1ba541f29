"""One bit of a file on the disk is another: it does no harm, or the file is said to be damaged.

No name, no template and no number becomes another one that looks as valid.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from support.bit_flips import FIRST_PAGE_BYTES, HEAD_BYTES, chosen_bits, each_flipped
from support.gallery_examples import DIMENSION, MODEL, template
from support.gallery_publisher import Workshop
from support.stranger_examples import visit

from edge_reid.core.errors import GalleryError
from edge_reid.gallery.gallery_install import install, load_held
from edge_reid.gallery.replica import Replica
from edge_reid.gallery.store import GalleryStore
from edge_reid.strangers.stranger_store import StrangerStore
from edge_reid.transfer.folder import FolderSource
from edge_reid.transfer.gallery_transfer import GALLERY

ALL = 1 << 20
SOME = {"head": 100, "first_page": 40, "elsewhere": 60}
EVERY = {"head": ALL, "first_page": ALL, "elsewhere": 5_000}
TIMES = [SOME, pytest.param(EVERY, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])]


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
            store.disabled(),
            store.erasures(),
            store.published("stick"),
            [(it.identity, it.vector.tobytes(), it.quality) for it in store.templates()],
        )


@pytest.mark.parametrize("share", TIMES)
def test_a_gallery(tmp_path: Path, share: dict[str, int]) -> None:
    path = tmp_path / "gallery.db"
    with GalleryStore.create(path, MODEL, DIMENSION) as store:
        store.add_all([template(name, seed) for name in ("ana", "zoe") for seed in range(6)])
        store.add(template("gone"))
        store.remove("gone")
        store.disable({3: "looks like somebody else"})
    whole = contents_of(path)
    bits = chosen_bits(path.stat().st_size, **share)
    told = 0
    for bit in each_flipped(path, bits):
        said = complaint(path, whole, is_written=bit < HEAD_BYTES * 8)
        told += bool(said)
        assert not said or ("damaged" in said and "restore it from a copy" in said), (bit, said)
    assert len(bits) // 5 < told < len(bits)


def complaint(path: Path, whole: tuple[object, ...], *, is_written: bool) -> str:
    """What is said of a gallery that is not as it was; the head says how to write as well."""
    try:
        assert contents_of(path) == whole
        if is_written:
            with GalleryStore.open(path) as store:
                store.add(template("emil"))
                store.remove("zoe")
                assert store.snapshot().identities == ("ana", "emil")
    except GalleryError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("share", TIMES)
def test_a_replica_is_made_whole_from_its_source(tmp_path: Path, share: dict[str, int]) -> None:
    """Whatever has happened to it: it opens, and the same gallery is in force in the end."""
    path = tmp_path / "device" / "replica.db"
    path.parent.mkdir()
    with Workshop(tmp_path, people=2) as workshop:
        workshop.publish()
        with Replica.open(path) as replica:
            assert taken(workshop, replica)
        workshop.store.remove("person 0")
        workshop.publish()
        with Replica.open(path) as replica:
            whole = taken(workshop, replica)
            replica.purge(keep_s=0, now_utc_s=2e9)
            erased = replica.erased
        bits = chosen_bits(path.stat().st_size, **share)
        kept = []
        for bit in each_flipped(path, bits):
            with Replica.open(path) as replica:
                if bit >= FIRST_PAGE_BYTES * 8:
                    kept.append(replica.in_force is not None)
                assert replica.highest <= workshop.store.version, bit
                assert taken(workshop, replica) == whole, bit
                assert replica.erased == erased, bit
                assert replica.highest == workshop.store.version, bit
                replica.purge(keep_s=0, now_utc_s=2e9)
                assert replica.purged_through == workshop.store.version, bit
            names = {it.name for it in path.parent.iterdir()}
            assert names == {path.name}, "nothing of it is kept"
        # in the first page without which no table is read, every second bit does
        assert sum(kept) > 0.9 * len(kept), "one bit takes nobody away who need not be fetched"


def taken(workshop: Workshop, replica: Replica) -> tuple[object, ...]:
    """The people that a device has when it has asked its source."""
    source = FolderSource(workshop.out, GALLERY, poll_s=0)
    sealed = source.news(0)
    assert sealed is not None
    install(sealed, source.fetch, replica, workshop.pinned(), now_utc_s=1e9)
    assert replica.in_force is not None
    loaded = load_held(replica.in_force, source.fetch, replica, workshop.pinned())
    snapshot = loaded.snapshot
    return snapshot.identities, snapshot.vectors.tobytes(), snapshot.version


@pytest.mark.parametrize("share", TIMES)
def test_a_file_of_strangers(tmp_path: Path, share: dict[str, int]) -> None:
    """It says who they are, or begins anew: nobody is ever taken for somebody else."""
    path = tmp_path / "strangers.db"
    with opened(path) as store:
        for seed in range(4):
            store.meet(visit(seed), origin="lab/gate", now_utc_s=time.time(), max_people=9)
        whole = strangers_in(store)
    bits = chosen_bits(path.stat().st_size, **share)
    anew = 0
    for bit in each_flipped(path, bits):
        with opened(path) as store:
            there = strangers_in(store)
            anew += there == []
            assert there in ([], whole), bit
            name = store.meet(
                visit(7, 99.0), origin="lab/gate", now_utc_s=time.time(), max_people=9
            )
            assert name not in {it[0] for it in whole}, bit
    assert len(bits) // 5 < anew < len(bits)


def opened(path: Path) -> StrangerStore:
    return StrangerStore.open_or_make(path, model_id=MODEL, dimension=DIMENSION, keep_s=1e6)


def strangers_in(store: StrangerStore) -> list[tuple[object, ...]]:
    return [
        (
            *(it.name, it.camera, it.last_seen_utc_s, it.times_seen, it.vector.tobytes()),
            *(each.vector.tobytes() for each in store.looks(it.name)),
        )
        for it in store.strangers()
    ]
