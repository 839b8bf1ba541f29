"""`gallery doctor`, `restore` and `merge` on real photos of the clip's people."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from support import campus
from support.gallery_examples import template

from edge_reid.gallery.store import GalleryStore

NAMES = ("red-sleeves", "bomber-jacket", "black-coat")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """All enrolment photos of the first visits, by person."""
    return campus.write_photos(campus.people(*NAMES), tmp_path_factory.mktemp("photos"), 400)


@pytest.fixture
def path(tmp_path, edge_reid):
    path = tmp_path / "gallery.db"
    assert edge_reid("gallery", "init", path).code == 0
    return path


@pytest.fixture
def gallery(edge_reid, path):
    """Runs `edge-reid gallery … --gallery PATH`."""
    return lambda *words: edge_reid("gallery", *words, "--gallery", path)


@pytest.fixture(scope="module")
def enrolled(photos, tmp_path_factory):
    """The file of a gallery in which a photo of bomber-jacket is filed under red-sleeves."""
    path = tmp_path_factory.mktemp("enrolled") / "gallery.db"
    *bomber, stray = photos["bomber-jacket"]
    verbs = (
        ("init", path),
        ("enroll", "red-sleeves", *photos["red-sleeves"], stray, "--gallery", path),
        ("enroll", "bomber-jacket", *bomber, "--gallery", path),
        ("enroll", "black-coat", *photos["black-coat"], "--gallery", path),
    )
    for words in verbs:
        command = [sys.executable, "-m", "edge_reid", "gallery", *map(str, words)]
        subprocess.run(command, check=True, capture_output=True)
    return path


@pytest.fixture
def misfiled(gallery, enrolled, path):
    """`gallery` on a copy of that one."""
    shutil.copy(enrolled, path)
    return gallery


def in_use(path, name):
    with GalleryStore.open(path) as store:
        return [each.template_id for each in store.templates(name)]


def test_a_misfiled_photo_is_found_disabled_and_enabled(misfiled, photos, path):
    stray = len(photos["red-sleeves"]) + 1

    told = misfiled("doctor")
    assert told.code == 0
    photo = photos["bomber-jacket"][-1]
    assert f"template {stray} of red-sleeves ({photo}): taken for somebody else" in told.out
    assert "taken for somebody else (bomber-jacket)" in told.out
    assert "similarity to them 0." in told.out
    assert "1 would be disabled by --fix" in told.out
    assert stray in in_use(path, "red-sleeves")

    assert "1 were disabled" in misfiled("doctor", "--fix").out
    assert stray not in in_use(path, "red-sleeves")
    assert "all well" in misfiled("doctor").out
    assert f"{stray - 1} + 1 disabled" in misfiled("list").out
    shown = misfiled("show", "red-sleeves").out
    assert f"template {stray} of red-sleeves: disabled" in shown
    assert "taken for somebody else: similarity to them" in shown
    assert f"template {stray} of red-sleeves: disabled" in misfiled("restore").out
    (disabled,) = json.loads(misfiled("show", "red-sleeves", "--json").out)["disabled"]
    assert disabled["template_id"] == stray
    assert disabled["disabled_utc_s"] == pytest.approx(time.time(), abs=300)
    counts = [each["disabled"] for each in json.loads(misfiled("list", "--json").out)]
    assert sorted(counts)[-2:] == [0, 1]

    assert "1 template in use again" in misfiled("restore", "red-sleeves").out
    assert stray in in_use(path, "red-sleeves")
    assert "nothing is disabled" in misfiled("restore").out


def test_as_json(misfiled, photos):
    (finding,) = json.loads(misfiled("doctor", "--json").out)
    assert finding["kind"] == "taken_for_another"
    assert (finding["identity"], finding["other"]) == ("red-sleeves", "bomber-jacket")
    assert finding["template_ids"] == [len(photos["red-sleeves"]) + 1]
    assert finding["disable"] is True


def test_somebody_enrolled_twice_is_proposed_with_the_command_that_joins_them(
    gallery, edge_reid, photos, path
):
    red = photos["red-sleeves"]
    for name, files in (
        ("the lady's bag", red[:2]),
        ("red-sleeves", red[2:]),
        ("black-coat", photos["black-coat"]),
    ):
        assert gallery("enroll", name, *files).code == 0
    told = gallery("doctor", "--fix")
    assert "two identities, one person" in told.out
    assert "0 were disabled" in told.out
    assert len(in_use(path, "the lady's bag")) == 2  # never joined unasked
    (line,) = [line for line in told.out.splitlines() if "→ if so: " in line]
    _, *words = shlex.split(line.split("if so: ")[1])
    assert edge_reid(*words).code == 0
    assert sorted(in_use(path, words[3])) == list(range(1, len(red) + 1))
    assert "all well" in gallery("doctor").out


def test_a_photo_under_two_names_is_said_and_costs_nobody_a_template(
    gallery, edge_reid, photos, path
):
    emil = photos["red-sleeves"]
    for name, files in (("emil", emil), ("anna", photos["black-coat"]), ("zed", emil[:1])):
        assert gallery("enroll", name, *files).code == 0
    told = gallery("doctor", "--fix").out
    assert f"of zed ({emil[0]}) and template 1 of emil ({emil[0]}): the same photo" in told
    assert "0 were disabled" in told
    assert len(in_use(path, "emil")) == len(emil)
    (line,) = [line for line in told.splitlines() if "→ if it shows emil: " in line]
    assert edge_reid(*shlex.split(line.split("emil: ")[1])[1:]).code == 0
    assert in_use(path, "zed") == []
    assert "all well" in gallery("doctor").out


def test_two_people_under_one_name_are_found_and_the_command_parts_them(
    gallery, edge_reid, photos, path
):
    red, black = photos["red-sleeves"], photos["black-coat"]
    assert gallery("enroll", "anna", *red, *black).code == 0
    told = gallery("doctor", "--fix").out
    assert "anna: one identity, two people" in told
    assert "0 were disabled" in told
    (line,) = [line for line in told.splitlines() if "→ if so: " in line]
    assert edge_reid(*shlex.split(line.split("if so: ")[1])[1:]).code == 0
    assert {len(in_use(path, "anna")), len(in_use(path, "NEW NAME"))} == {len(red), len(black)}
    assert "all well" in gallery("doctor").out


@pytest.mark.parametrize(
    "leave", [("remove", "bomber-jacket"), ("merge", "bomber-jacket", "black-coat", "--yes")]
)
def test_whoever_leaves_is_not_named_in_a_reason_that_stays(misfiled, path, leave):
    misfiled("doctor", "--fix")
    assert misfiled(*leave).code == 0
    with GalleryStore.open(path) as store:
        assert [each.identity for each in store.disabled()] == ["red-sleeves"]
    on_disk = b"".join(file.read_bytes() for file in path.parent.glob("gallery.db*"))
    assert b"red-sleeves" in on_disk
    assert b"bomber-jacket" not in on_disk


def test_only_chosen_templates(misfiled, photos, path):
    stray = len(photos["red-sleeves"]) + 1
    assert "expected with --fix" in misfiled("doctor", "--only", stray).complaint
    refused = misfiled("doctor", "--fix", "--only", stray, "--only", 1)
    assert refused.code == 2
    assert "would disable, got 1" in refused.complaint
    assert stray in in_use(path, "red-sleeves")
    assert misfiled("doctor", "--fix", "--only", stray).code == 0
    assert stray not in in_use(path, "red-sleeves")


def test_export_leaves_out_what_is_disabled(misfiled, tmp_path, photos):
    misfiled("doctor", "--fix")
    file = tmp_path / "people.jsonl"
    assert "without 1 that are disabled" in misfiled("export", file).out
    everything = sum(map(len, photos.values()))
    assert len(file.read_text().splitlines()) == 1 + everything - 1


def test_a_photo_that_is_disabled_is_not_enrolled_again(misfiled, photos):
    misfiled("doctor", "--fix")
    outcome = misfiled("enroll", "red-sleeves", photos["bomber-jacket"][-1])
    assert outcome.code == 0
    assert "skipped, enrolled as red-sleeves already" in outcome.out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("restore", "red-sleeves"), "nothing of 'red-sleeves' is disabled"),
        (("restore", "--template", "77"), "a disabled template, got 77"),
        (("restore", "--template", "1", "--all"), "expected --all alone, got names or templates"),
        (("merge", "red-sleeves", "nobody"), "nobody called 'nobody' is enrolled"),
        (("doctor", "--target-fpir", "7"), "--target-fpir"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(misfiled, words, complaint):
    outcome = misfiled(*words)
    assert outcome.code in (1, 2)
    assert complaint in outcome.complaint


def test_what_operators_complained_of_is_told_and_can_be_disabled(gallery, path):
    with GalleryStore.open(path) as store:
        look = np.ones(store.dimension, np.float32) / np.sqrt(store.dimension)
        own = {"model_id": store.model_id, "vector": np.asarray(look, np.float32)}
        store.add_all([template("anna", n, photo_name=f"{n}.png", **own) for n in (1, 2)])
        for event_id in ("a", "b"):
            store.complain(2, similarity=0.8123, event_id=event_id)
    told = gallery("doctor").out
    assert "template 2 of anna (2.png): named somebody else" in told
    assert "operators said 2 times" in told
    assert "--fix disables it" in told
    assert "1 were disabled" in gallery("doctor", "--fix").out
    assert in_use(path, "anna") == [1]
    assert json.loads(gallery("doctor", "--json").out) == []
