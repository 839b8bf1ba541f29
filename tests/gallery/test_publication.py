"""From an enrolled gallery to what lies in a folder, and from there onto a device."""

from __future__ import annotations

import pytest
from support.gallery_publisher import (
    ENOUGH_FOR_A_TREE,
    MODEL,
    SITE,
    Workshop,
    assert_same_people,
    portraits,
    take_in,
)

from edge_reid.core.errors import GalleryError, SnapshotError
from edge_reid.gallery.gallery_head import open_head
from edge_reid.gallery.publication import publish
from edge_reid.gallery.replica import Replica
from edge_reid.gallery.store import GalleryStore
from edge_reid.gallery.tree import place_of
from edge_reid.signing.keys import SigningKey
from edge_reid.transfer.folder import FolderTarget
from edge_reid.transfer.gallery_transfer import GALLERY


@pytest.fixture
def workshop(tmp_path):
    with Workshop(tmp_path, people=ENOUGH_FOR_A_TREE) as workshop:
        yield workshop


@pytest.fixture
def replica(tmp_path):
    with Replica.open(tmp_path / "replica.db") as replica:
        yield replica


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_device_has_what_was_enrolled(workshop, replica):
    workshop.publish()
    arrived = take_in(workshop, replica)
    assert_same_people(arrived.snapshot, workshop.store.snapshot())
    assert arrived.snapshot.version == workshop.store.version
    assert arrived.snapshot.model_id == MODEL


def test_the_folder_holds_a_head_and_just_its_blobs(workshop):
    done = workshop.publish()
    lying = files(workshop.out)
    assert len(lying) == done.head.blobs + 1
    head = open_head((workshop.out / "head").read_bytes(), workshop.key.public)
    assert head == done.head
    assert all(path in lying for path in head.root.ref.paths)


def test_only_what_is_new_is_sent_and_only_what_is_old_is_cleared(workshop):
    first = workshop.publish()
    before = files(workshop.out)
    workshop.store.remove("person 7")
    workshop.store.add_all(portraits("person 7", take=1))
    second = workshop.publish()
    after = files(workshop.out)
    assert first.sent == first.head.blobs
    assert second.sent == len(after - before) <= 3
    assert second.cleared == len(before - after) == second.sent
    assert second.head.version > first.head.version


def test_publishing_the_same_again_changes_nothing(workshop, replica):
    workshop.publish()
    take_in(workshop, replica)
    before = files(workshop.out)
    again = workshop.publish()
    assert (again.sent, again.cleared) == (0, 0)
    assert files(workshop.out) == before
    assert take_in(workshop, replica) is None


def test_a_place_that_has_lost_something_gets_all_of_it_again(workshop, replica):
    workshop.publish()
    for path in list((workshop.out / "blob").rglob("0"))[:5]:
        path.write_bytes(b"damaged")
    with pytest.raises(SnapshotError, match="expected .* bytes, got 7"):
        take_in(workshop, replica)
    done = workshop.publish(again=True)
    assert done.sent == done.head.blobs
    assert take_in(workshop, replica) is not None


def test_a_place_that_has_lost_its_head_gets_all_of_it_again(workshop, replica):
    workshop.publish()
    (workshop.out / "head").unlink()
    for path in list((workshop.out / "blob").rglob("0"))[:5]:
        path.unlink()
    workshop.publish()
    assert take_in(workshop, replica) is not None


def test_a_publication_that_broke_off_is_made_good(workshop, replica):
    class Broken(FolderTarget):
        def put(self, blobs):
            for number, ref in enumerate(super().put(blobs)):
                if number == 3:
                    raise OSError("the stick was pulled")
                yield ref

    workshop.publish()
    take_in(workshop, replica)
    workshop.store.add_all([it for n in range(20) for it in portraits(f"new {n}")])
    with pytest.raises(OSError, match="pulled"):
        workshop.publish(Broken(workshop.out, GALLERY))
    assert take_in(workshop, replica) is None  # the old head still lies there
    workshop.publish()
    assert_same_people(take_in(workshop, replica).snapshot, workshop.store.snapshot())


def test_an_old_copy_of_the_gallery_does_not_undo_a_newer_one(workshop, tmp_path):
    stale_path = tmp_path / "stale.db"
    with GalleryStore.open(workshop.path):
        workshop.store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        stale_path.write_bytes(workshop.path.read_bytes())
    workshop.store.add_all(portraits("zoe"))
    workshop.publish()
    workshop.store.close()
    workshop.store = GalleryStore.open(stale_path)
    with pytest.raises(SnapshotError, match="got version 2 there; is this an old copy"):
        workshop.publish()
    workshop.store.add_all(portraits("yan"))
    with pytest.raises(SnapshotError, match="published already with another content"):
        workshop.publish()
    done = workshop.publish(supersede=True)
    assert done.head.version == 3 == workshop.store.version


def test_two_copies_that_are_published_at_once_are_not_one_version(workshop, tmp_path):
    """The slower one has looked before the faster one was done: devices would take either."""
    copy_path = tmp_path / "copy.db"
    workshop.publish()
    workshop.store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    copy_path.write_bytes(workshop.path.read_bytes())
    workshop.store.add_all(portraits("zoe"))

    class Slow(FolderTarget):
        def put(self, blobs):
            with GalleryStore.open(copy_path) as copy:
                copy.add_all(portraits("yan"))
                publish(copy, FolderTarget(workshop.out, GALLERY), workshop.key, site=SITE)
            yield from super().put(blobs)

    with pytest.raises(SnapshotError, match="another gallery was published meanwhile; publish ag"):
        workshop.publish(Slow(workshop.out, GALLERY))
    theirs = open_head((workshop.out / "head").read_bytes(), workshop.key.public)
    assert (theirs.version, theirs.identities) == (2, ENOUGH_FOR_A_TREE + 1)
    with Replica.open(tmp_path / "device.db") as device:
        assert "yan" in take_in(workshop, device).snapshot.identities
    with pytest.raises(SnapshotError, match="published already with another content"):
        workshop.publish()
    assert workshop.publish(supersede=True).head.version == 3


def test_who_is_enrolled_while_an_old_copy_supersedes_is_published_whole(workshop, replica):
    workshop.publish()
    workshop.store._db.execute("UPDATE gallery SET version = 0")  # as in an old copy
    workshop.store.add_all(portraits("yan"))

    class Busy(FolderTarget):
        def head(self):
            if "zoe" not in {person.identity for person in workshop.store.identities()}:
                workshop.store.add_all(portraits("zoe"))
            return super().head()

    workshop.publish(Busy(workshop.out, GALLERY), supersede=True)
    assert_same_people(take_in(workshop, replica).snapshot, workshop.store.snapshot())


def test_a_head_of_another_key_is_in_nobodys_way(workshop):
    workshop.publish()
    workshop.key = SigningKey.generate()
    done = workshop.publish()
    assert done.foreign
    assert done.sent == done.head.blobs
    assert open_head((workshop.out / "head").read_bytes(), workshop.key.public)


def test_an_empty_gallery_that_never_held_anybody_is_not_published(tmp_path):
    with Workshop(tmp_path, people=0) as workshop:
        workshop.store._db.execute("UPDATE gallery SET version = 0")
        with pytest.raises(GalleryError, match="expected somebody enrolled, nobody ever was"):
            workshop.publish()


def test_a_gallery_that_everybody_has_left_is_published(workshop, replica):
    for person in workshop.store.identities():
        workshop.store.remove(person.identity)
    workshop.publish()
    arrived = take_in(workshop, replica)
    assert arrived.snapshot.identities == ()
    assert len(replica.erased) == ENOUGH_FOR_A_TREE


def test_who_was_removed_is_published_as_a_hash_until_enrolled_again(workshop, replica):
    workshop.store.remove("PERSON 7")
    (erasure,) = workshop.store.erasures()
    assert (erasure.digest, erasure.version) == (place_of("person 7"), workshop.store.version)
    workshop.publish()
    take_in(workshop, replica)
    assert replica.erased == {place_of("person 7")}
    workshop.store.add_all(portraits("person 7"))
    assert workshop.store.erasures() == ()
    workshop.publish()
    take_in(workshop, replica)
    assert replica.erased == set()
