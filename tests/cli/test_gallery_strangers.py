"""`gallery strangers`, `promote` and `merge --strangers`, on a file such as an agent leaves."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest

from edge_reid.core.bundled_models import EMBEDDING, shipped_model
from edge_reid.core.manifest import load_embedding_manifest
from edge_reid.core.types import Embedding
from edge_reid.gallery.store import GalleryStore
from edge_reid.strangers.stranger import Visit
from edge_reid.strangers.stranger_store import StrangerStore

MODEL = load_embedding_manifest(shipped_model(EMBEDDING))


@pytest.fixture
def device(tmp_path):
    """Two strangers, seen by an agent."""
    path = tmp_path / "strangers.db"
    with opened(path) as store:
        for seed in (1, 2):
            store.meet(visit(seed), origin="lab/device", now_utc_s=time.time(), max_people=9)
    return path


def opened(path, model_id=MODEL.model_id):
    return StrangerStore.open_or_make(
        path, model_id=model_id, dimension=MODEL.dimension, keep_s=3600.0
    )


def visit(seed):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=MODEL.dimension) + 0.05 * rng.normal(size=(4, MODEL.dimension))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    looks = [Embedding(vector.astype(np.float32), MODEL.model_id, 0.5) for vector in vectors]
    return Visit("gate", 1_700_000_000.0 + seed, 1_700_000_005.0 + seed, tuple(looks))


def names(path):
    with StrangerStore.open(path) as store:
        return [each.name for each in store.strangers()]


@pytest.fixture
def verb(edge_reid, device):
    """Runs `edge-reid gallery … --strangers FILE`."""
    return lambda *words: edge_reid("gallery", *words, "--strangers", device)


@pytest.fixture
def gallery(edge_reid, tmp_path):
    path = tmp_path / "gallery.db"
    assert edge_reid("gallery", "init", path).code == 0
    return path


class TestListing:
    def test_who_is_there(self, verb, device):
        shown = verb("strangers")
        assert shown.code == 0
        for name in names(device):
            assert name in shown.out
        assert "gate" in shown.out
        assert "11-14 22:13:26" in shown.out  # 1,700,000,006 s
        assert "2 people remembered" in shown.out

    def test_as_json(self, verb, device):
        listed = json.loads(verb("strangers", "--json").out)
        assert [each["stranger"] for each in listed] == names(device)
        assert listed[0]["camera"] == "gate"
        assert listed[0]["times_seen"] == 1
        assert listed[0]["last_seen_utc_s"] == 1_700_000_006.0
        assert listed[0]["forgotten_utc_s"] == pytest.approx(time.time() + 3600, abs=120)

    def test_one_is_forgotten_on_request(self, verb, device):
        first, second = names(device)
        assert "forgotten, and overwritten" in verb("strangers", "--forget", first).out
        assert names(device) == [second]
        assert "nobody is called" in verb("strangers", "--forget", first).complaint

    def test_without_a_file(self, edge_reid, tmp_path):
        outcome = edge_reid("gallery", "strangers", "--strangers", tmp_path / "none.db")
        assert outcome.code == 1
        assert "no such file; an agent makes it" in outcome.complaint

    def test_a_gallery_is_none(self, edge_reid, gallery):
        outcome = edge_reid("gallery", "strangers", "--strangers", gallery)
        assert "expected the strangers of a device, got another kind of file" in outcome.complaint


class TestPromote:
    def test_a_stranger_becomes_an_identity(self, verb, device, gallery):
        first, second = names(device)
        with StrangerStore.open(device) as store:
            expected = {each.vector.tobytes() for each in store.looks(first)}
        outcome = verb("promote", first, "Anna", "--gallery", gallery)
        assert f"Anna: 4 templates of {first} added" in outcome.out
        with GalleryStore.open(gallery) as enrolled:
            assert {each.vector.tobytes() for each in enrolled.templates("Anna")} == expected
        assert names(device) == [second]

    def test_another_name_for_somebody_enrolled_adds_to_them(self, verb, device, gallery):
        for name in names(device):
            assert verb("promote", name, "Anna", "--gallery", gallery).code == 0
        with GalleryStore.open(gallery) as enrolled:
            assert [each.templates for each in enrolled.identities()] == [8]

    def test_interrupted_half_way_it_is_done_by_the_next_try(self, verb, device, gallery):
        first, _ = names(device)
        copy = device.read_bytes()
        verb("promote", first, "Anna", "--gallery", gallery)
        device.write_bytes(copy)  # enrolled, but not forgotten yet
        assert "Anna: 0 templates" in verb("promote", first, "Anna", "--gallery", gallery).out
        assert first not in names(device)

    def test_for_an_office_that_imports_and_publishes(self, verb, edge_reid, device, gallery):
        first, _ = names(device)
        file = device.with_name("anna.jsonl")
        for _ in range(2):  # the second takes the place of the first
            assert verb("promote", first, "Anna", "--export", file).code == 0
        assert first in names(device)  # until the gallery with Anna comes back
        assert edge_reid("gallery", "import", file, "--gallery", gallery).code == 0
        with GalleryStore.open(gallery) as enrolled:
            assert [each.templates for each in enrolled.identities()] == [4]

    def test_it_overwrites_no_file_of_another_kind(self, verb, device):
        first, _ = names(device)
        file = device.with_name("photo.png")
        file.write_bytes(b"a photo")
        outcome = verb("promote", first, "Anna", "--export", file)
        assert outcome.code == 2
        assert "got another kind of file; give another path" in outcome.complaint
        assert file.read_bytes() == b"a photo"

    def test_of_another_model_nobody_is_enrolled(self, edge_reid, tmp_path, gallery):
        path = tmp_path / "other.db"
        with opened(path, "f" * 16) as store:
            name = store.meet(visit(1), origin="x", now_utc_s=time.time(), max_people=9)
        outcome = edge_reid(
            *("gallery", "promote", name, "Anna"), *("--strangers", path, "--gallery", gallery)
        )
        assert outcome.code == 1
        assert "expected one of model ffffffffffffffff" in outcome.complaint
        assert names(path) == [name]

    @pytest.mark.parametrize(
        ("words", "complaint"),
        [
            (("anon-000000-9", "Anna"), "nobody is called 'anon-000000-9'"),
            (("{first}", "two\nlines"), "printable"),
            (("{first}", "anon-3fa2c1-1"), "got one like those of unknown people"),
            (("{first}", "Anna", "--export", "anna.jsonl"), "got both"),
        ],
    )
    def test_what_cannot_be_is_told_and_nothing_is_lost(
        self, verb, device, gallery, words, complaint
    ):
        first, _ = before = names(device)
        filled = [word.format(first=first) for word in words]
        outcome = verb("promote", *filled, "--gallery", gallery)
        assert outcome.code in (1, 2)
        assert complaint in outcome.complaint
        assert names(device) == before


def test_two_that_are_one_are_joined(verb, device):
    first, second = names(device)
    assert "look like two people: similarity 0.05" in verb("merge", second, first).complaint
    assert f"{second} is {first} from now on" in verb("merge", second, first, "--yes").out
    assert names(device) == [first]
    assert "nobody is called" in verb("merge", second, first).complaint
