from __future__ import annotations

import sqlite3
import stat

import numpy as np
import pytest
from support.gallery_examples import DIMENSION, MODEL, OTHER_MODEL, template, unit_vectors

from edge_reid.core.errors import GalleryError, ModelMismatchError
from edge_reid.gallery.gallery_queries import IdentitySummary
from edge_reid.gallery.store import GalleryStore


@pytest.fixture
def path(tmp_path):
    return tmp_path / "gallery.db"


@pytest.fixture
def store(path):
    with GalleryStore.create(path, MODEL, DIMENSION) as store:
        yield store


def bytes_on_disk(path):
    return b"".join(file.read_bytes() for file in path.parent.iterdir() if file.is_file())


class TestContents:
    def test_what_is_added_comes_back(self, store, path):
        stored = store.add(template("Alice", 1))
        store.close()

        with GalleryStore.open(path, model_id=MODEL) as again:
            (found,) = again.templates("Alice")

        assert found.template_id == stored.template_id == 1
        np.testing.assert_array_equal(found.vector, template("Alice", 1).vector)
        assert (found.identity, found.model_id, found.quality) == ("Alice", MODEL, 0.75)
        assert found.source_sha256 == template("Alice", 1).source_sha256
        assert found.created_utc_s == 1_760_000_001.5

    def test_identities_are_summed_up_by_name(self, store):
        store.add_all([template("bob"), template("Alice", 1, quality=0.5), template("Alice", 2)])
        assert store.identities() == (
            IdentitySummary("Alice", 2, 0.625, 1_760_000_001.5, 1_760_000_002.5),
            IdentitySummary("bob", 1, 0.75, 1_760_000_000.5, 1_760_000_000.5),
        )

    def test_a_snapshot_holds_all_templates_by_identity(self, store):
        added = [template("bob"), template("Alice", 1), template("bob", 1), template("Alice", 2)]
        store.add_all(added)

        snapshot = store.snapshot()

        assert snapshot.identities == ("Alice", "bob")
        assert snapshot.labels.tolist() == [0, 0, 1, 1]
        assert snapshot.labels.dtype == np.int32
        expected = np.stack([added[place].vector for place in (1, 3, 0, 2)])
        np.testing.assert_array_equal(snapshot.vectors, expected)
        assert (snapshot.model_id, snapshot.version) == (MODEL, store.version)

    def test_an_empty_gallery_has_an_empty_snapshot(self, store):
        snapshot = store.snapshot()
        assert snapshot.identities == ()
        assert snapshot.labels.shape == (0,)
        assert snapshot.vectors.shape == (0, DIMENSION)

    def test_any_spelling_finds_an_identity(self, store):
        store.add(template("Zoë"))
        assert len(store.templates("ZOË")) == 1
        assert store.templates("Zoé") == ()
        assert store.remove("zoe\u0308") == 1


class TestVersion:
    def test_it_rises_with_each_change_and_only_then(self, store):
        seen = [store.version]
        store.add_all([template("Alice", 1), template("Alice", 2)])
        seen.append(store.version)
        store.remove("Alice")
        seen.append(store.version)
        assert seen == sorted(set(seen))

        store.snapshot()
        with pytest.raises(GalleryError):
            store.remove("Alice")
        assert store.version == seen[-1]

    def test_another_program_sees_it_rise(self, store, path):
        with GalleryStore.open(path) as reader:
            before = reader.version
            store.add(template("Alice"))
            assert reader.version > before
            assert reader.snapshot().identities == ("Alice",)


class TestAdding:
    def test_all_or_nothing(self, store):
        store.add(template("Alice"))
        version = store.version
        with pytest.raises(GalleryError, match="'Alice' already has a template of the source"):
            store.add_all([template("Bob"), template("Alice", 1), template("Alice")])
        assert [person.identity for person in store.identities()] == ["Alice"]
        assert store.version == version

    def test_one_photo_may_show_two_people(self, store):
        shared = template("Alice").source_sha256
        store.add_all([template("Alice"), template("Bob", source_sha256=shared)])
        assert len(store.identities()) == 2

    def test_another_spelling_of_somebody_is_refused(self, store):
        store.add(template("Alice"))
        with pytest.raises(GalleryError, match="'alice' is enrolled as 'Alice'; write it the same"):
            store.add(template("alice", 1))

    def test_another_model_is_refused(self, store):
        with pytest.raises(ModelMismatchError, match=f"{MODEL}, got one of {OTHER_MODEL}"):
            store.add(template("Alice", model_id=OTHER_MODEL))

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"vector": unit_vectors(1, 8)[0]}, "expected 16 numbers"),
            ({"vector": 2 * unit_vectors(1)[0]}, "unit norm, got 2"),
            ({"vector": np.full(DIMENSION, np.nan, np.float32)}, "unit norm, got nan"),
            ({"quality": 1.5}, "quality of 0 to 1, got 1.5"),
            ({"quality": float("nan")}, "quality of 0 to 1, got nan"),
            ({"source_sha256": "photo.jpg"}, "hex SHA-256, got 'photo.jpg'"),
            ({"created_utc_s": float("inf")}, "expected a time of this age"),
            ({"created_utc_s": 1e18}, "expected a time of this age"),
            ({"created_utc_s": -1.0}, "expected a time of this age"),
            ({"identity": ""}, "1 to 64 printable"),
        ],
        ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
    )
    def test_what_is_no_template_is_refused(self, store, changes, words):
        with pytest.raises(GalleryError, match=words):
            store.add(template("Alice", **changes) if "identity" not in changes else template(""))
        assert store.templates() == ()


class TestRemoving:
    def test_no_byte_stays(self, store, path):
        """Templates of many people, mixed, so that pages split and rows move before they go."""
        order = np.random.default_rng(0).integers(0, 40, 800)
        added = [template(f"person {who}", n) for n, who in enumerate(order)]
        for each in added:
            store.add(each)
        gone = {f"person {who}" for who in range(0, 40, 5)}
        for identity in gone:
            store.remove(identity)

        found = bytes_on_disk(path)

        for each in added:
            is_kept = each.identity not in gone
            assert (each.vector.tobytes() in found) == is_kept
            assert (each.source_sha256.encode() in found) == is_kept
        assert len(store.identities()) == 32

    def test_no_byte_stays_while_another_program_has_it_open(self, store, path):
        store.add(template("Alice"))
        with GalleryStore.open(path) as reader:
            assert reader.version
            store.remove("Alice")
            assert template("Alice").vector.tobytes() not in bytes_on_disk(path)
            assert b"Alice" not in bytes_on_disk(path)

    def test_it_says_so_when_traces_must_stay(self, store, path):
        store.add(template("Alice"))
        store.close()
        reader = sqlite3.connect(path)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM templates").fetchone()  # holds the old pages
        with (
            GalleryStore.open(path, busy_timeout_s=0.1) as again,
            pytest.raises(GalleryError, match="removed, but another program is reading"),
        ):
            again.remove("Alice")
        reader.close()
        with GalleryStore.open(path) as after:
            assert after.identities() == ()
        assert template("Alice").vector.tobytes() not in bytes_on_disk(path)

    def test_nobody_of_that_name(self, store):
        with pytest.raises(GalleryError, match="nobody called 'Bob' is enrolled"):
            store.remove("Bob")

    def test_numbers_are_never_used_again(self, store):
        store.add(template("Alice"))
        store.remove("Alice")
        assert store.add(template("Bob")).template_id == 2


class TestFile:
    def test_only_its_owner_may_read_it(self, store, path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_an_existing_file_is_never_overwritten(self, path):
        path.write_text("my diary")
        with pytest.raises(GalleryError, match="there is a file already"):
            GalleryStore.create(path, MODEL, DIMENSION)
        assert path.read_text() == "my diary"

    def test_a_folder_that_is_not_there(self, tmp_path):
        with pytest.raises(GalleryError, match="cannot be created: No such file or directory"):
            GalleryStore.create(tmp_path / "nowhere" / "gallery.db", MODEL, DIMENSION)

    def test_a_creation_that_fails_leaves_no_file(self, path):
        with pytest.raises(GalleryError):
            GalleryStore.create(path, MODEL, dimension=-1)
        assert not path.exists()
