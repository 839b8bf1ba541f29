"""A published gallery on the disk of a device."""

from __future__ import annotations

import sqlite3
import stat
import time
import zlib

import pytest
from support.gallery_publisher import (
    ENOUGH_FOR_A_TREE,
    Workshop,
    assert_same_people,
    bytes_on_disk,
    in_force,
    portraits,
    take_in,
)

from edge_reid.core.errors import GalleryError, SnapshotError
from edge_reid.gallery.gallery_install import install, load_held
from edge_reid.gallery.replica import Replica
from edge_reid.gallery.store import GalleryStore
from edge_reid.gallery.tree import Leaf, decode

DAY_S = 86_400.0


@pytest.fixture
def workshop(tmp_path):
    with Workshop(tmp_path, people=ENOUGH_FOR_A_TREE) as workshop:
        workshop.publish()
        yield workshop


@pytest.fixture
def path(tmp_path):
    return tmp_path / "device" / "replica.db"


@pytest.fixture
def replica(path):
    path.parent.mkdir()
    with Replica.open(path) as replica:
        yield replica


def next_version(workshop, replica, name="zoe"):
    workshop.store.add_all(portraits(name))
    workshop.publish()
    return take_in(workshop, replica)


def leaf_of(workshop, name):
    """The blob with somebody's templates, as it lies in the folder."""
    for path in (workshop.out / "blob").rglob("0"):
        node = decode(path.read_bytes())
        if isinstance(node, Leaf) and any(person.identity == name for person in node.people):
            return path.read_bytes()
    raise KeyError(name)


def pieces_found(blob, disk):
    """How many pieces of a blob, 32 bytes each, stand on the disk. Pages cut blobs in two."""
    return sum(piece in disk for piece in pieces_of(blob))


def pieces_of(blob):
    return [blob[at : at + 32] for at in range(0, len(blob) - 32, 256)]


def traces_found(blob, replica):
    """How many pieces of a blob stand on the disk that are of nothing in force.

    What is left of a leaf when somebody is removed from it is mostly the same text, packed by
    nearly the same code: in one removal of sixty the two have a piece in common.
    """
    needed = replica._tree_of(replica.in_force.root)
    kept = b"".join(replica.read(ref) for ref in needed)
    disk = bytes_on_disk(replica.path)
    return sum(piece in disk for piece in pieces_of(blob) if piece not in kept)


def test_a_new_one_is_empty_and_for_its_owner_only(replica, path):
    assert replica.in_force is None
    assert (replica.highest, replica.purged_through, replica.held) == (0, 0, ())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not list(path.parent.glob("*.new"))


def test_it_is_there_after_a_restart(workshop, replica, path):
    take_in(workshop, replica)
    replica.close()
    with Replica.open(path) as again:
        assert again.in_force.version == workshop.store.version
        assert_same_people(in_force(workshop, again), workshop.store.snapshot())


def test_the_version_before_is_kept_and_can_be_put_back(workshop, replica):
    first = take_in(workshop, replica).snapshot
    second = next_version(workshop, replica).snapshot
    assert [held.version for held in replica.held] == [second.version, first.version]
    assert replica.roll_back(time.time()) == first.version
    assert_same_people(in_force(workshop, replica), first)
    assert take_in(workshop, replica) is None  # not taken again
    third = next_version(workshop, replica, "yan").snapshot
    assert replica.in_force.version == third.version
    assert [held.version for held in replica.held] == [third.version, first.version]


def test_there_is_nothing_to_go_back_to_at_first(workshop, replica):
    with pytest.raises(GalleryError, match="no earlier version is kept; publish a new one"):
        replica.roll_back(time.time())
    take_in(workshop, replica)
    with pytest.raises(GalleryError, match="no earlier version is kept"):
        replica.roll_back(time.time())


def test_who_was_erased_stays_erased_after_a_rollback(workshop, replica):
    take_in(workshop, replica)
    workshop.store.remove("person 7")
    workshop.publish()
    take_in(workshop, replica)
    replica.roll_back(time.time())
    snapshot = in_force(workshop, replica)
    assert "person 7" not in snapshot.identities
    assert len(snapshot.identities) == ENOUGH_FOR_A_TREE - 1


def test_a_device_that_remembers_nothing_takes_nothing_before_the_least_version(workshop, replica):
    with pytest.raises(SnapshotError, match=r"version 1: expected 2 at least, as gallery_sync"):
        take_in(workshop, replica, least_version=2)
    assert replica.held == ()
    workshop.store.add_all(portraits("zoe"))
    workshop.publish()
    assert take_in(workshop, replica, least_version=2) is not None


def test_an_old_version_sent_again_is_refused(workshop, replica):
    old = {path: path.read_bytes() for path in workshop.out.rglob("*") if path.is_file()}
    take_in(workshop, replica)
    next_version(workshop, replica)
    for path, body in old.items():
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(body)
    with pytest.raises(SnapshotError, match=r"version 1: expected one above 2.*sent again"):
        take_in(workshop, replica)
    assert replica.in_force.version == 2


def test_another_content_under_the_same_number_is_refused(workshop, replica):
    take_in(workshop, replica)
    workshop.store._db.execute("DELETE FROM templates WHERE template_id = 1")
    (workshop.out / "head").unlink()
    workshop.publish()
    with pytest.raises(SnapshotError, match="taken under this number, got another content"):
        take_in(workshop, replica)


@pytest.mark.parametrize(
    ("pins", "words"),
    [
        ({"site": "farm"}, "expected one of site farm, got one of lab"),
        ({"model_id": "f" * 16}, "expected embeddings of model f"),
        ({"max_bytes": 1000}, "expected at most 1000 bytes"),
    ],
)
def test_what_is_not_for_this_device_leaves_no_trace(workshop, replica, pins, words):
    with pytest.raises(SnapshotError, match=words):
        take_in(workshop, replica, **pins)
    assert replica.in_force is None
    assert workshop.source().fetched == []


def test_what_arrived_before_a_failure_is_not_fetched_again(workshop, replica):
    blobs = sorted((workshop.out / "blob").rglob("0"))
    lost = max(blobs, key=lambda path: path.stat().st_size)
    body = lost.read_bytes()
    lost.unlink()
    with pytest.raises(SnapshotError, match="cannot be read: No such file"):
        take_in(workshop, replica)
    assert replica.in_force is None
    lost.write_bytes(body)
    here = [path for path in blobs if pieces_found(path.read_bytes(), bytes_on_disk(replica.path))]
    assert len(here) > 1
    source = workshop.source()
    install(source.news(1), source.fetch, replica, workshop.pinned(), now_utc_s=1.0)
    assert len(source.fetched) == len(blobs) - len(here)


class TestErasure:
    def test_no_byte_of_a_removed_person_is_left(self, workshop, replica, path):
        take_in(workshop, replica)
        leaf = leaf_of(workshop, "person 7")
        assert pieces_found(leaf, bytes_on_disk(path)) > len(leaf) // 256 * 0.8
        workshop.store.remove("person 7")
        workshop.publish()
        take_in(workshop, replica)
        now = time.time()
        replica.purge(keep_s=DAY_S, now_utc_s=now)
        assert traces_found(leaf, replica)  # kept for a rollback
        assert replica.purged_through == 1
        replica.purge(keep_s=DAY_S, now_utc_s=now + DAY_S + 1)
        assert traces_found(leaf, replica) == 0
        assert replica.purged_through == 2
        assert_same_people(in_force(workshop, replica), workshop.store.snapshot())

    def test_also_while_another_agent_has_it_open(self, workshop, replica, path):
        take_in(workshop, replica)
        leaf = leaf_of(workshop, "person 7")
        with Replica.open(path) as other:
            assert other.in_force
            workshop.store.remove("person 7")
            workshop.publish()
            take_in(workshop, replica)
            replica.purge(keep_s=0, now_utc_s=time.time())
            assert traces_found(leaf, replica) == 0
            assert other.purged_through == 2

    def test_it_is_not_confirmed_while_a_reader_holds_the_old_pages(self, workshop, replica, path):
        take_in(workshop, replica)
        workshop.store.remove("person 7")
        workshop.publish()
        take_in(workshop, replica)
        reader = sqlite3.connect(path)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM blobs").fetchone()
        replica._db.execute("PRAGMA busy_timeout = 50")
        with pytest.raises(GalleryError):
            replica.purge(keep_s=0, now_utc_s=time.time())
        assert replica.purged_through < 2
        reader.close()
        replica.purge(keep_s=0, now_utc_s=time.time())
        assert replica.purged_through == 2

    def test_a_rolled_back_version_goes_too(self, workshop, replica, path):
        take_in(workshop, replica)
        next_version(workshop, replica)
        leaf = leaf_of(workshop, "zoe")
        replica.roll_back(time.time())
        replica.purge(keep_s=0, now_utc_s=time.time())
        assert traces_found(leaf, replica) == 0
        assert [held.version for held in replica.held] == [1]
        assert_same_people(
            load_held(
                replica.in_force, workshop.source().fetch, replica, workshop.pinned()
            ).snapshot,
            in_force(workshop, replica),
        )

    def test_a_clock_that_is_set_back_keeps_nothing_for_longer(self, workshop, replica):
        take_in(workshop, replica)
        workshop.store.remove("person 7")
        workshop.publish()
        take_in(workshop, replica)
        then = time.time() - 1000 * DAY_S
        replica.purge(keep_s=DAY_S, now_utc_s=then)
        assert len(replica.held) == 2
        replica.purge(keep_s=DAY_S, now_utc_s=then + DAY_S + 1)
        assert [held.version for held in replica.held] == [2]


class TestDamage:
    @pytest.mark.parametrize("first", [100, 4096], ids=["in its first page", "behind it"])
    def test_a_damaged_gallery_with_people_in_it_is_refused_and_stays(self, workshop, first):
        """Its path was given by mistake; what can be saved of it is its owner's to say."""
        workshop.store.close()
        content = bytearray(workshop.path.read_bytes())
        content[first : first + 3000] = b"\xa5" * 3000
        workshop.path.write_bytes(content)
        with pytest.raises(GalleryError, match="got another kind of file; a device that syncs"):
            Replica.open(workshop.path)
        assert workshop.path.read_bytes() == content

    def test_a_spoilt_blob_is_noticed_and_fetched_again(self, workshop, replica):
        take_in(workshop, replica)
        replica._db.execute("UPDATE blobs SET body = zeroblob(length(body)) WHERE rowid = 3")
        with pytest.raises(SnapshotError, match="1 blobs are damaged on this disk"):
            in_force(workshop, replica)
        source = workshop.source()
        load_held(replica.in_force, source.fetch, replica, workshop.pinned())
        assert len(source.fetched) == 1
        assert_same_people(in_force(workshop, replica), workshop.store.snapshot())

    def test_a_kept_version_that_is_harmed_is_given_up_and_does_not_stop_the_purge(
        self, workshop, replica, path
    ):
        first = take_in(workshop, replica)
        leaf = leaf_of(workshop, "person 7")
        workshop.store.remove("person 7")
        workshop.publish()
        take_in(workshop, replica)
        replica._db.execute(
            "UPDATE blobs SET body = zeroblob(length(body)) WHERE sha256 = ?",
            (first.head.root.ref.sha256,),
        )
        replica.purge(keep_s=DAY_S, now_utc_s=time.time())
        assert [held.version for held in replica.held] == [2]
        assert traces_found(leaf, replica) == 0
        assert replica.purged_through == 2
        assert_same_people(in_force(workshop, replica), workshop.store.snapshot())

    def test_what_is_in_force_is_not_given_up(self, workshop, replica):
        arrived = take_in(workshop, replica)
        replica._db.execute(
            "UPDATE blobs SET body = zeroblob(length(body)) WHERE sha256 = ?",
            (arrived.head.root.ref.sha256,),
        )
        with pytest.raises(SnapshotError, match="is damaged on this disk or gone"):
            replica.purge(keep_s=DAY_S, now_utc_s=time.time())
        assert replica.in_force.version == 1

    def test_a_gallery_of_another_kind_is_left_alone(self, workshop):
        before = workshop.path.read_bytes()
        with pytest.raises(GalleryError, match="expected the copy of a published gallery"):
            Replica.open(workshop.path)
        assert workshop.path.read_bytes() == before

    def test_a_replica_is_no_gallery_to_enroll_into(self, replica, path):
        with pytest.raises(
            GalleryError, match="a device's copy of a published gallery; use the gallery"
        ):
            GalleryStore.open(path)

    def test_a_head_whose_blobs_were_swept_meanwhile_does_not_come_into_force(
        self, workshop, replica
    ):
        arrived = take_in(workshop, replica)
        with pytest.raises(GalleryError, match="1 blobs of version 9 are gone again"):
            replica.install(
                9,
                b"",
                arrived.head.root.ref,
                blobs=[arrived.head.root.ref, type(arrived.head.root.ref)("0" * 64, 5)],
                erased=(),
                now_utc_s=1.0,
            )
        assert replica.in_force.version == 1


def test_blobs_are_compressed_json(workshop):
    """What the README of the room promises to other implementations."""
    (root, *_) = [decode(path.read_bytes()) for path in (workshop.out / "blob").rglob("0")]
    assert root.schema_.startswith("edge-reid.gallery-")
    for path in (workshop.out / "blob").rglob("0"):
        assert zlib.decompress(path.read_bytes())[:1] == b"{"
