from __future__ import annotations

import json
import re

import pytest

from edge_reid.core.bundled_models import EMBEDDING, shipped_model
from edge_reid.core.manifest import load_embedding_manifest
from edge_reid.matching.threshold import threshold_for


@pytest.fixture
def gallery(tmp_path, edge_reid, samples):
    """The clip's people, one photo each."""
    path = tmp_path / "gallery.db"
    edge_reid("gallery", "init", path)
    for name, (sample, *_) in samples.items():
        assert edge_reid("gallery", "enroll", name, sample.crop, "--gallery", path).code == 0
    return path


def test_an_enrolled_photo_is_known_from_one_crop(edge_reid, gallery, samples):
    name, (sample, *_) = next(iter(samples.items()))
    outcome = edge_reid("probe", sample.crop, "--gallery", gallery)
    assert outcome.code == 0
    assert f"known: {name}, similarity 1.000 (threshold " in outcome.out
    for other in samples:
        assert other in outcome.out


def test_as_json(edge_reid, gallery, samples):
    name, (sample, *_) = next(iter(samples.items()))
    answer = json.loads(edge_reid("probe", sample.crop, "--gallery", gallery, "--json").out)
    first, second = answer["candidates"][:2]
    assert (answer["decision"], answer["identity"], first["identity"]) == ("known", name, name)
    assert answer["margin"] == pytest.approx(first["similarity"] - second["similarity"])
    manifest = load_embedding_manifest(shipped_model(EMBEDDING))
    assert answer["threshold"] == threshold_for(manifest.impostor_quantiles, 0.01, len(samples))
    assert answer["model_id"] == manifest.model_id


def test_a_rate_beyond_what_was_measured_is_said(edge_reid, gallery, samples):
    (sample, *_) = next(iter(samples.values()))
    words = ("probe", sample.crop, "--gallery", gallery)
    told = "lies beyond what was measured for this model"
    assert told not in edge_reid(*words).out
    assert told in edge_reid(*words, "--target-fpir", "0.000001").out
    answer = json.loads(edge_reid(*words, "--json", "--target-fpir", "0.000001").out)
    assert answer["threshold_measured"] is False


def test_a_stricter_rate_raises_the_threshold(edge_reid, gallery, samples):
    (sample, *_) = next(iter(samples.values()))
    words = ("probe", sample.crop, "--gallery", gallery, "--json", "--target-fpir")
    loose, strict = (json.loads(edge_reid(*words, rate).out) for rate in (0.1, 0.001))
    assert strict["threshold"] > loose["threshold"]
    assert strict["candidates"] == loose["candidates"]


def test_only_the_best_few_are_shown(edge_reid, gallery, samples):
    (sample, *_) = next(iter(samples.values()))
    answer = edge_reid("probe", sample.crop, "--gallery", gallery, "--json", "--top", 1)
    assert len(json.loads(answer.out)["candidates"]) == 1


def test_in_an_empty_gallery_everybody_is_unknown(edge_reid, tmp_path, samples):
    path = tmp_path / "empty.db"
    edge_reid("gallery", "init", path)
    (sample, *_) = next(iter(samples.values()))
    outcome = edge_reid("probe", sample.crop, "--gallery", path)
    assert outcome.code == 0
    assert "unknown: nobody is enrolled" in outcome.out


def test_two_names_for_one_face_are_uncertain(edge_reid, gallery, samples):
    name, (sample, *_) = next(iter(samples.items()))
    edge_reid("gallery", "enroll", "Doppelgänger", sample.crop, "--gallery", gallery)
    outcome = edge_reid("probe", sample.crop, "--gallery", gallery)
    assert re.search(f"uncertain: ({name}|Doppelgänger), similarity 1.000 ", outcome.out)
    assert "but only 0.000 before the next, less than the margin of 0.05" in outcome.out


def test_several_photos_of_one_person_are_taken_together(edge_reid, gallery, samples):
    name, taken = next(iter(samples.items()))
    photos = [each.crop for each in taken]
    answer = json.loads(edge_reid("probe", *photos, "--gallery", gallery, "--json").out)
    assert (answer["identity"], answer["one_person"]) == (name, True)
    assert [each["photo"] for each in answer["photos"]] == list(map(str, photos))
    alone = [
        json.loads(edge_reid("probe", photo, "--gallery", gallery, "--json").out)
        for photo in photos
    ]
    similarities = sorted(each["candidates"][0]["similarity"] for each in alone)
    assert similarities[0] < answer["similarity"] < similarities[-1]
    assert alone[0]["photos"] == [{key: alone[0][key] for key in ("photo", "box", "quality")}]


def test_photos_of_two_people_are_said_to_be(edge_reid, gallery, samples):
    (one, *_), (other, *_), *_ = samples.values()
    outcome = edge_reid("probe", one.crop, other.crop, "--gallery", gallery)
    assert outcome.code == 0
    assert "The photos may show two people, so do not trust this: groups of 1 and 1" in outcome.out


def test_of_several_people_one_is_chosen_by_number(
    edge_reid, gallery, samples, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    name, (sample, *_) = next(iter(samples.items()))
    words = ("probe", sample.scene, "--gallery", gallery)
    as_json = edge_reid(*words, "--json")
    assert (as_json.code, list(tmp_path.glob("*.jpg"))) == (1, []), "a program looks at none"
    found = re.findall(r"(\d+) at (\d+),(\d+),", as_json.complaint)
    left, top = sample.box.split(",")[:2]
    (number,) = [
        number
        for number, x, y in found
        if abs(int(x) - int(left)) < 8 and abs(int(y) - int(top)) < 8
    ]
    assert "look at" in edge_reid(*words).complaint
    assert [path.name for path in tmp_path.glob("*.jpg")] == [f"{sample.scene.stem}.boxes.jpg"]
    assert f"known: {name}" in edge_reid(*words, "--box", number).out


def test_a_picture_of_numbers_is_not_passed_over_in_silence(edge_reid, gallery, samples, tmp_path):
    """It lies beside the photo that it was made of, and is easily given with it."""
    (sample, *_) = next(iter(samples.values()))
    picture = tmp_path / "still.boxes.jpg"
    picture.write_bytes(sample.crop.read_bytes())
    outcome = edge_reid("probe", sample.crop, picture, "--gallery", gallery, "--json")
    assert outcome.err == f"{picture}: skipped, a picture of numbered boxes by its name\n"
    assert [photo["photo"] for photo in json.loads(outcome.out)["photos"]] == [str(sample.crop)]


def test_what_cannot_be(edge_reid, gallery, samples, wall, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a picture of several people with numbers lands here
    (sample, *_) = next(iter(samples.values()))
    nobody = edge_reid("probe", wall, "--gallery", gallery)
    assert (nobody.code, "got nobody" in nobody.complaint) == (1, True)
    several = edge_reid("probe", sample.scene, "--gallery", gallery)
    assert (several.code, "--largest" in several.complaint) == (1, True)
    nowhere = edge_reid("probe", sample.crop, "--gallery", tmp_path / "no.db")
    assert (nowhere.code, "no such file" in nowhere.complaint) == (1, True)
    rate = edge_reid("probe", sample.crop, "--gallery", gallery, "--target-fpir", 7)
    assert (rate.code, "--target-fpir" in rate.complaint) == (2, True)
