"""Templates disabled and enabled, identities joined, and galleries from before all that."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from support.gallery_examples import DIMENSION, MODEL, template
from support.other_formats import without_checksums

from edge_reid.core.errors import GalleryError
from edge_reid.gallery.gallery_tables import GALLERY, MIGRATIONS
from edge_reid.gallery.store import GalleryStore
from edge_reid.gallery.tree import place_of
from edge_reid.storage.soundness import migrate


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "gallery.db"
    with GalleryStore.create(path, MODEL, DIMENSION) as store:
        store.add_all([template("Alice", 1), template("Alice", 2), template("bob")])
    return path


@pytest.fixture
def store(path):
    with GalleryStore.open(path) as store:
        yield store


class TestDisabled:
    def test_it_is_neither_matched_nor_published_nor_exported(self, store):
        store.disable({1: "blurred"})
        assert [each.template_id for each in store.templates()] == [2, 3]
        assert [each.template_id for each in store.templates("Alice")] == [2]
        assert [each.template_id for each in store.contents().templates] == [2, 3]
        snapshot = store.snapshot()
        assert snapshot.vectors.shape == (2, DIMENSION)
        assert (snapshot.vectors[0] == template("Alice", 2).vector).all()

    def test_whoever_has_none_left_is_not_in_the_gallery_but_still_enrolled(self, store):
        store.disable({1: "blurred", 2: "too dark"})
        assert store.snapshot().identities == ("bob",)
        alice, bob = store.identities()
        assert (alice.identity, alice.templates, alice.disabled) == ("Alice", 0, 2)
        assert (bob.templates, bob.disabled) == (1, 0)

    def test_the_reason_is_kept(self, store):
        store.disable({3: "taken for Alice: 0.83"})
        (template,) = store.disabled()
        assert (template.identity, template.template_id, template.reason) == (
            "bob",
            3,
            "taken for Alice: 0.83",
        )
        assert store.disabled("BOB") == (template,)
        assert store.disabled("alice") == ()

    def test_taken_back_all_is_as_before(self, store):
        before = store.snapshot()
        store.disable({1: "blurred", 3: "dark"})
        store.enable([1, 3])
        after = store.snapshot()
        assert after.identities == before.identities
        assert (after.vectors == before.vectors).all()
        assert store.disabled() == ()

    def test_each_change_raises_the_version(self, store):
        seen = [store.version]
        store.disable({1: "blurred"})
        seen.append(store.version)
        store.enable([1])
        seen.append(store.version)
        assert seen == sorted(set(seen))

    def test_all_or_none(self, store):
        store.disable({2: "dark"})
        version = store.version
        for numbers in ({1: "x", 2: "again"}, {1: "x", 99: "nobody's"}):
            with pytest.raises(GalleryError, match="expected the number of a template in use"):
                store.disable(numbers)
        with pytest.raises(GalleryError, match="a disabled template, got 1"):
            store.enable([2, 1])
        assert [each.template_id for each in store.disabled()] == [2]
        assert store.version == version

    def test_its_photo_is_not_enrolled_again(self, store):
        store.disable({1: "blurred"})
        assert template("Alice", 1).source_sha256 in store.sources("alice")
        with pytest.raises(GalleryError, match="already has a template of the source"):
            store.add(template("Alice", 1))

    def test_removal_takes_it_as_well(self, store, path):
        store.disable({1: "blurred by the rain"})
        assert store.remove("Alice") == 2
        assert store.disabled() == ()
        store.close()
        on_disk = b"".join(file.read_bytes() for file in path.parent.iterdir())
        assert template("Alice", 1).vector.tobytes() not in on_disk
        assert b"blurred by the rain" not in on_disk


class TestMerge:
    @pytest.mark.parametrize("disabled_of", ["Alice", "bob"])
    def test_of_a_photo_that_both_have_the_one_in_use_stays(self, store, disabled_of):
        shared = template("Alice", 1).source_sha256
        (twin,) = store.add_all([template("bob", 5, source_sha256=shared)])
        ids = {"Alice": 1, "bob": twin.template_id}
        store.disable({ids.pop(disabled_of): "blurred"})
        done = store.merge("Alice", "bob")
        assert done.doubled == 1
        assert store.disabled() == ()
        (kept,) = ids.values()
        assert sorted(each.template_id for each in store.templates("bob")) == sorted({2, 3, kept})

    def test_all_templates_have_the_other_name(self, store):
        store.disable({1: "blurred"})
        done = store.merge("alice", "BOB")
        assert (done.moved, done.doubled) == (2, 0)
        (bob,) = store.identities()
        assert (bob.identity, bob.templates, bob.disabled) == ("bob", 2, 1)
        assert store.snapshot().identities == ("bob",)

    def test_a_photo_that_both_have_stays_once(self, store):
        shared = template("Alice", 1).source_sha256
        store.add(template("bob", 5, source_sha256=shared))
        done = store.merge("Alice", "bob")
        assert (done.moved, done.doubled) == (1, 1)
        assert len(store.templates("bob")) == 3

    def test_no_older_version_brings_the_name_back(self, store):
        store.merge("Alice", "bob")
        assert place_of("Alice") in {each.digest for each in store.erasures()}

    @pytest.mark.parametrize(
        ("names", "words"),
        [
            (("Alice", "ALICE"), "expected two identities"),
            (("Zoe", "bob"), "nobody called 'Zoe' is enrolled"),
            (("Alice", "Zoe"), "nobody called 'Zoe' is enrolled"),
        ],
    )
    def test_only_of_two_who_are_enrolled(self, store, names, words):
        with pytest.raises(GalleryError, match=words):
            store.merge(*names)
        assert len(store.templates("Alice")) == 2


class TestSingleTemplates:
    def test_all_or_none_are_removed(self, store):
        for numbers in ([1, 3], [1, 99]):
            with pytest.raises(GalleryError, match="expected the number of a template of 'Alice'"):
                store.remove_templates("alice", numbers)
        assert len(store.templates("Alice")) == 2
        assert store.remove_templates("alice", [1])
        assert not store.remove_templates("alice", [2])
        assert place_of("Alice") in {each.digest for each in store.erasures()}

    def test_also_one_that_is_disabled(self, store):
        store.disable({1: "blurred"})
        assert store.remove_templates("Alice", [1])
        assert store.disabled() == ()

    def test_moved_to_another_identity_or_a_new_one(self, store):
        assert store.move("alice", "bob", [1]).moved == 1
        assert store.move("Alice", "Zoe", [2]).moved == 1
        assert [each.identity for each in store.identities()] == ["bob", "Zoe"]
        assert place_of("Alice") in {each.digest for each in store.erasures()}

    def test_a_photo_that_both_have_stays_once(self, store):
        shared = template("Alice", 1).source_sha256
        store.add(template("bob", 5, source_sha256=shared))
        assert store.move("Alice", "bob", [1, 2]).doubled == 1
        assert len(store.templates("bob")) == 3

    def test_to_the_same_or_of_another_nothing_moves(self, store):
        with pytest.raises(GalleryError, match="expected two identities"):
            store.move("alice", "Alice", [1])
        with pytest.raises(GalleryError, match="expected the number of a template of 'Alice'"):
            store.move("Alice", "bob", [1, 3])
        assert len(store.templates("Alice")) == 2


class TestRename:
    def test_templates_and_what_is_disabled_have_the_new_name(self, store):
        store.disable({1: "blurred"})
        store.rename("alice", "Zoe")
        assert [each.identity for each in store.disabled()] == ["Zoe"]
        assert [each.identity for each in store.templates("zoe")] == ["Zoe"]
        assert store.templates("Alice") == ()

    def test_the_old_name_is_erased_on_devices_and_the_new_one_no_more(self, store):
        store.remove("bob")
        store.rename("Alice", "bob")
        erased = {each.digest for each in store.erasures()}
        assert (place_of("Alice") in erased, place_of("bob") in erased) == (True, False)

    def test_another_spelling_erases_nobody(self, store):
        store.rename("Alice", "ALICE")
        assert store.erasures() == ()
        assert [each.identity for each in store.identities()] == ["ALICE", "bob"]

    @pytest.mark.parametrize("name", ["BOB", "two\nlines", "anon-98a000-2"])
    def test_not_to_a_name_that_is_taken_or_none(self, store, name):
        with pytest.raises(GalleryError):
            store.rename("Alice", name)
        assert len(store.templates("Alice")) == 2


class TestPhotoNames:
    def test_they_are_kept_also_through_merge_and_rename(self, store):
        store.add(template("Alice", 9, photo_name="crops/9.png"))
        store.merge("Alice", "bob")
        store.rename("bob", "Zoe")
        assert "crops/9.png" in [each.photo_name for each in store.templates("Zoe")]

    def test_whoever_is_gone_is_not_named_in_them(self, store, path):
        store.add(template("bob", 9, photo_name="People/ALICE/9.png"))
        store.remove("Alice")
        assert [each.photo_name for each in store.templates("bob")] == [None, "people/…/9.png"]
        store.close()
        on_disk = b"".join(file.read_bytes() for file in path.parent.iterdir())
        assert b"ALICE" not in on_disk

    def test_gone_with_their_template(self, store, path):
        store.add(template("bob", 9, photo_name="yard 9.png"))
        store.replace_all([template("bob", 10)])
        store.close()
        on_disk = b"".join(file.read_bytes() for file in path.parent.iterdir())
        assert b"yard 9.png" not in on_disk


def made_older(path):
    """The gallery as the edge-reid before wrote it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        for table in ("set_aside", "photos"):
            old.execute(f"DROP TABLE {table}")
        old.execute("PRAGMA user_version = 2")
        without_checksums(old)


class TestAnOlderGallery:
    def test_becomes_one_of_today(self, path):
        made_older(path)
        with GalleryStore.open(path) as store:
            store.disable({1: "blurred"})
            assert len(store.templates()) == 2

    @pytest.mark.parametrize("done", range(sum(map(len, MIGRATIONS)) - len(MIGRATIONS[0])))
    def test_a_migration_that_breaks_off_leaves_it_as_it_was(self, path, done):
        with sqlite3.connect(path) as old:
            for table in ("photos", "set_aside", "published", "erasures"):
                old.execute(f"DROP TABLE {table}")
            old.execute("PRAGMA user_version = 1")
            without_checksums(old)
        connection = sqlite3.connect(path, isolation_level=None)
        steps = iter(range(done))

        def refuse(action: int, *_: object) -> int:
            creating = action == sqlite3.SQLITE_CREATE_TABLE
            return sqlite3.SQLITE_DENY if creating and next(steps, None) is None else 0

        connection.set_authorizer(refuse)
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.DatabaseError):
            migrate(connection, GALLERY)
        connection.set_authorizer(None)
        connection.execute("ROLLBACK")
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
        assert not {"photos", "set_aside", "published", "erasures"} & tables
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        connection.close()
        with GalleryStore.open(path) as store:
            assert len(store.templates()) == 3
