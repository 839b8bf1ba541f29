from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_reid.cli.boxes_picture import MOST_PICTURES
from edge_reid.core.bundled_models import DETECTOR, EMBEDDING, shipped_model
from edge_reid.core.manifest import load_embedding_manifest
from edge_reid.enrolment.photo_embedding import NO_PICK, PhotoEmbedder
from edge_reid.gallery.snapshot import people_of
from edge_reid.gallery.store import GalleryStore
from edge_reid.vision.photo import read_photo
from edge_reid.vision.unclear_photo import CrowdedPhotoError, box_text


@pytest.fixture
def path(tmp_path, edge_reid):
    path = tmp_path / "gallery.db"
    assert edge_reid("gallery", "init", path).code == 0
    return path


@pytest.fixture
def gallery(edge_reid, path):
    """Runs `edge-reid gallery … --gallery PATH`."""
    return lambda *words: edge_reid("gallery", *words, "--gallery", path)


@pytest.fixture(autouse=True)
def _folder_of_its_own(tmp_path, monkeypatch):
    """Pictures of people are written where the command is run."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)


@pytest.fixture
def people(samples):
    """Two of the clip's people: name and crops each."""
    return [(name, [each.crop for each in taken]) for name, taken in list(samples.items())[:2]]


def stored_anew(photo, folder):
    """The same picture in another file."""
    path = folder / "anew.bmp"
    cv2.imwrite(str(path), cv2.imread(str(photo)))
    return path


def folder_of(folder, photos):
    folder.mkdir(parents=True)
    for photo in photos:
        shutil.copy(photo, folder)
    return folder


def names_in(path):
    with GalleryStore.open(path) as store:
        return [person.identity for person in store.identities()]


class TestInit:
    def test_a_gallery_belongs_to_the_shipped_model(self, path):
        manifest = load_embedding_manifest(shipped_model(EMBEDDING))
        with GalleryStore.open(path, model_id=manifest.model_id) as store:
            assert store.dimension == manifest.dimension
            assert store.identities() == ()

    def test_an_existing_file_is_kept(self, edge_reid, path):
        before = path.read_bytes()
        outcome = edge_reid("gallery", "init", path)
        assert outcome.code == 1
        assert "there is a file already" in outcome.complaint
        assert path.read_bytes() == before

    def test_a_detector_makes_no_gallery(self, edge_reid, tmp_path):
        wanted = tmp_path / "new.db"
        outcome = edge_reid("gallery", "init", wanted, "--model", shipped_model(DETECTOR))
        assert outcome.code == 1
        assert "expected an embedding model" in outcome.complaint
        assert not wanted.exists()


class TestEnroll:
    def test_crops_are_taken_whole(self, gallery, people, path):
        name, crops = people[0]
        outcome = gallery("enroll", name, *crops)
        assert outcome.code == 0
        assert outcome.out.count("the photo is a crop") == len(crops)
        with GalleryStore.open(path) as store:
            templates = store.templates(name)
        assert len(templates) == len(crops)
        assert all(0 < template.quality <= 1 for template in templates)

    def test_in_a_scene_with_several_people_they_are_shown_with_numbers(
        self, gallery, samples, path, tmp_path
    ):
        name, (sample, *_) = next(iter(samples.items()))
        outcome = gallery("enroll", name, sample.scene)
        assert outcome.code == 1
        picture = Path(f"{sample.scene.stem}.boxes.jpg")
        assert f"look at {picture} for their numbers; choose one" in outcome.complaint
        assert "--box NUMBER" in outcome.complaint
        assert "--largest" in outcome.complaint
        assert names_in(path) == []
        assert picture.stat().st_mode & 0o777 == 0o600
        plain = cv2.resize(cv2.imread(str(sample.scene)), (1280, 960))
        drawn = np.abs(cv2.imread(str(picture)).astype(int) - plain).max(axis=2) > 100
        x1, y1, x2, y2 = (round(int(side) * 1280 / 768) for side in sample.box.split(","))
        around = drawn[y1 - 30 : y2 + 10, x1 - 10 : x2 + 10]
        assert around.sum() > 4 * drawn.mean() * around.size, "boxes are where people are"

    def test_a_number_chooses_the_person_of_that_number(self, gallery, samples, path):
        name, (sample, *_) = next(iter(samples.items()))
        with pytest.raises(CrowdedPhotoError) as several:
            PhotoEmbedder().embed(read_photo(sample.scene), NO_PICK)
        for number, box in enumerate(several.value.boxes[:2], start=1):
            outcome = gallery("enroll", f"{name} {number}", sample.scene, "--box", number)
            assert outcome.code == 0
            assert f"scene.png: {box_text(box)} (found in the scene" in outcome.out
        assert not list(Path().glob("*.jpg")), "nothing had to be looked at"
        again = gallery("enroll", f"{name} 1", sample.scene, "--box", 2)
        assert f"skipped, enrolled as {name} 1 already" in again.out
        assert "--replace takes these photos anew, with whom you choose now, instead" in again.out

    def test_a_picture_of_numbers_takes_no_other_files_place(self, gallery, samples):
        name, (sample, *_) = next(iter(samples.items()))
        mine = Path(f"{sample.scene.stem}.boxes.jpg")
        mine.write_text("mine")
        ours = mine.with_name(f"{sample.scene.stem}.boxes-2.jpg")
        for _ in range(2):  # the second time it is there
            assert f"look at {ours} " in gallery("enroll", name, sample.scene).complaint
        assert mine.read_text() == "mine"
        assert {mine, ours} == set(Path().glob("*.jpg"))

    def test_a_picture_of_numbers_is_nobodys_photo(self, gallery, samples, tmp_path):
        name, (sample, *_) = next(iter(samples.items()))
        assert gallery("enroll", name, sample.scene).code == 1
        (picture,) = Path().glob("*.jpg")
        both = gallery("enroll", name, sample.crop, picture)
        assert (both.code, f"{picture}: skipped, a picture of numbered boxes" in both.out) == (
            0,
            True,
        )
        alone = gallery("enroll", name, picture)
        assert alone.code == 2
        assert "give the photo that it was made of" in alone.complaint

    def test_each_crowd_among_photos_has_its_picture_and_what_to_do_is_said_once(
        self, gallery, samples, wall
    ):
        scenes = [taken[0].scene for taken in samples.values()][:2]
        outcome = gallery("enroll", "ada", *scenes, wall)
        assert outcome.complaint == "error: nobody was enrolled: 3 photos give no template"
        lines = outcome.err.splitlines()
        assert len(lines) == 5
        for scene, line in zip(scenes, lines[1:3], strict=True):
            assert line.startswith(f"  - photo {scene}: expected one person, got ")
            assert line.endswith(f": look at {scene.stem}.boxes.jpg for their numbers")
        assert "wall.png: expected a person, got nobody" in lines[3]
        assert lines[4] == (
            "2 photos show several people: give them one by one with --box NUMBER, or take number "
            "1 of each with --largest; only you can read the pictures, delete them when you have "
            "chosen"
        )
        assert len(list(Path().glob("*.jpg"))) == 2

    def test_a_folder_of_crowds_is_not_listed_box_by_box(self, gallery, samples, tmp_path):
        name, (sample, *_) = next(iter(samples.items()))
        folder = tmp_path / "crowds"
        folder.mkdir()
        scene = cv2.imread(str(sample.scene))
        for number in range(MOST_PICTURES + 2):
            scene[0, number] = 0  # the same picture twice would be skipped
            cv2.imwrite(str(folder / f"{number:02}.png"), scene)
        outcome = gallery("enroll", name, folder)
        (*photos, remedy) = outcome.err.splitlines()[1:]
        assert len(photos) == MOST_PICTURES + 2
        assert all("look at" in line for line in photos[:MOST_PICTURES])
        assert all(
            line.endswith(": given alone it gets a picture") for line in photos[MOST_PICTURES:]
        )
        assert remedy.startswith(f"{MOST_PICTURES + 2} photos show several people: give them")
        assert outcome.err.count("--box") == outcome.err.count("--largest") == 1

    @pytest.mark.parametrize(
        ("stem", "reason"), [("s", "No such file or directory"), ("s" * 246, "File name too long")]
    )
    def test_where_no_picture_can_be_written_it_is_said_why_and_the_boxes_are_listed(
        self, gallery, samples, tmp_path, monkeypatch, stem, reason
    ):
        name, (sample, *_) = next(iter(samples.items()))
        photo = Path(shutil.copy(sample.scene, tmp_path / f"{stem}.png"))
        if stem == "s":
            gone = tmp_path / "gone"
            gone.mkdir()
            monkeypatch.chdir(gone)
            gone.rmdir()
        outcome = gallery("enroll", name, photo)
        assert outcome.code == 1
        assert re.search(r"got \d+: 1 at \d+,\d+,\d+,\d+; 2 at \d+,", outcome.complaint)
        assert "choose one with --box, by number or as x1,y1,x2,y2" in outcome.complaint
        assert outcome.complaint.endswith(
            f"; no picture with numbers can be written here: {reason}"
        )

    def test_why_no_picture_can_be_written_is_said_once(
        self, gallery, samples, tmp_path, monkeypatch
    ):
        scenes = [taken[0].scene for taken in samples.values()][:2]
        monkeypatch.chdir("/proc")  # where root, too, can write no picture
        outcome = gallery("enroll", "ada", *scenes)
        (*photos, remedy) = outcome.err.splitlines()[1:]
        assert all(re.search(r"got \d+: 1 at \d+,", line) for line in photos)
        assert outcome.err.count("No such file or directory") == 1
        assert "give them one by one with --box, by number or as x1,y1,x2,y2, or take" in remedy

    def test_the_largest_can_be_asked_for(self, gallery, samples):
        name, (sample, *_) = next(iter(samples.items()))
        outcome = gallery("enroll", name, sample.scene, "--largest")
        assert outcome.code == 0
        assert re.search(r"-scene\.png: \d+,\d+,\d+,\d+ \(found in the scene", outcome.out)

    def test_a_box_in_the_scene_is_the_crop_from_there(self, gallery, samples, path):
        name, (sample, *_) = next(iter(samples.items()))
        assert gallery("enroll", name, sample.crop).code == 0
        outcome = gallery("enroll", name, sample.scene, "--box", sample.box)
        assert outcome.code == 0
        assert sample.box in outcome.out
        with GalleryStore.open(path) as store:
            from_crop, from_scene = store.templates(name)
        assert from_crop.vector @ from_scene.vector == pytest.approx(1, abs=1e-4)

    @pytest.mark.parametrize(
        ("words", "complaint"),
        [
            (("--box", "1,2,3"), "expected x1,y1,x2,y2 in pixels, got '1,2,3'"),
            (("--box", "0"), "expected the number of a person, from 1, or x1,y1,x2,y2 in pixels"),
            (("--box", "first"), "or x1,y1,x2,y2 in pixels, got 'first'"),
            (("--box", "99"), "its people, got --box 99"),
            (("--box", "9,9,1,1"), "expected x1 < x2"),
            (("--box", "nan,0,9,9"), "expected x1 < x2"),
            (("--box", "1,1,40,80", "--largest"), "got both"),
            (("--box", "9000,1,9100,90"), "8 × 8 px or more inside"),
        ],
    )
    def test_a_wrong_box_is_wrong_usage(self, gallery, samples, words, complaint):
        name, (sample, *_) = next(iter(samples.items()))
        outcome = gallery("enroll", name, sample.scene, *words)
        assert outcome.code == 2
        assert complaint in outcome.complaint

    def test_a_box_belongs_to_one_photo(self, gallery, people):
        name, crops = people[0]
        outcome = gallery("enroll", name, *crops[:1], people[1][1][0], "--box", "0,0,20,40")
        assert outcome.code == 2
        assert "--box belongs to one photo, got 2" in outcome.complaint

    def test_all_photos_or_none_and_every_bad_one_is_named(self, gallery, people, wall, path):
        name, crops = people[0]
        outcome = gallery("enroll", name, crops[0], wall, path.with_name("missing.jpg"))
        assert outcome.code == 1
        assert "nobody was enrolled" in outcome.complaint
        assert "wall.png: expected a person, got nobody" in outcome.err
        assert "missing.jpg: cannot be read" in outcome.err
        assert names_in(path) == []

    def test_the_same_photo_again_is_skipped(self, gallery, people, path):
        name, crops = people[0]
        gallery("enroll", name, crops[0])
        outcome = gallery("enroll", name, *crops, crops[-1])
        assert outcome.code == 0
        assert f"{crops[0]}: skipped, enrolled as {name} already" in outcome.out
        with GalleryStore.open(path) as store:
            assert len(store.templates(name)) == len(crops)

    def test_nothing_but_known_photos_tells_of_replace(self, gallery, people):
        name, crops = people[0]
        gallery("enroll", name, crops[0])
        outcome = gallery("enroll", name, crops[0], "--box", "0,0,20,40")
        assert f"{name}: 0 templates added; --replace takes these photos anew" in outcome.out

    @pytest.mark.parametrize(
        ("box", "code", "told"),
        [
            ("99", 2, "its people, got --box 99"),
            ("9000,1,9100,90", 2, "8 × 8 px or more inside"),
            ("0,0,20,40", 1, "saw nobody there"),
        ],
    )
    def test_a_wrong_box_is_told_of_a_known_photo_too(self, gallery, samples, box, code, told):
        name, (sample, *_) = next(iter(samples.items()))
        gallery("enroll", name, sample.scene, "--largest")
        outcome = gallery("enroll", name, sample.scene, "--box", box)
        assert outcome.code == code
        assert told in outcome.complaint
        assert "skipped" not in outcome.out

    def test_a_photo_of_somebody_else_is_warned_of(self, gallery, people, tmp_path):
        (first, crops), (second, others) = people
        gallery("enroll", first, *crops)
        saved_anew = stored_anew(crops[0], tmp_path)
        outcome = gallery("enroll", second, others[0], saved_anew)
        assert outcome.code == 0
        warning = f"warning: {saved_anew} is closer to {first} (1.00) than to its own identity"
        assert warning in outcome.err

    def test_a_lone_photo_of_somebody_else_is_warned_of(self, gallery, people, tmp_path):
        (first, crops), (second, _) = people
        gallery("enroll", first, *crops)
        saved_anew = stored_anew(crops[0], tmp_path)
        outcome = gallery("enroll", second, saved_anew)
        assert outcome.code == 0
        assert f"warning: {saved_anew} would be taken for {first} (1.00)" in outcome.err

    def test_the_very_photo_of_somebody_else_is_said_to_be_it(self, gallery, people):
        (first, crops), (second, others) = people
        gallery("enroll", first, *crops)
        outcome = gallery("enroll", second, others[0], crops[0])
        assert outcome.code == 0
        assert f"warning: {crops[0]} is the very photo that {first} is enrolled with" in outcome.err
        assert "closer" not in outcome.err

    def test_a_box_on_bare_background_is_refused(self, gallery, samples, path):
        name, (sample, *_) = next(iter(samples.items()))
        outcome = gallery("enroll", name, sample.scene, "--box", "700,480,740,570")
        assert outcome.code == 1
        assert "expected a person in the box 700,480,740,570, saw nobody" in outcome.complaint
        assert names_in(path) == []

    def test_a_folder_is_all_photos_in_it(self, gallery, people, tmp_path, path):
        name, crops = people[0]
        folder = folder_of(tmp_path / "crops", crops)
        (folder / "notes.txt").touch()
        (folder / ".hidden.png").touch()
        outcome = gallery("enroll", name, folder)
        assert outcome.code == 0
        assert f"{folder / 'notes.txt'}: skipped, no photo" in outcome.out
        assert ".hidden" not in outcome.out
        assert f"{name}: {len(crops)} templates added" in outcome.out

    def test_a_folder_with_a_folder_per_person_is_everybody(self, gallery, people, tmp_path, path):
        for name, crops in people:
            folder_of(tmp_path / "people" / name, crops)
        outcome = gallery("enroll", tmp_path / "people")
        assert outcome.code == 0
        assert sorted(names_in(path)) == sorted(name for name, _ in people)
        for name, crops in people:
            assert f"{name}: {len(crops)} templates added" in outcome.out

    def test_of_a_tree_all_or_none(self, gallery, people, wall, tmp_path, path):
        for name, crops in people:
            folder_of(tmp_path / "people" / name, crops)
        folder_of(tmp_path / "people" / "ghost", [wall])
        outcome = gallery("enroll", tmp_path / "people")
        assert (outcome.code, "got nobody" in outcome.complaint) == (1, True)
        assert names_in(path) == []

    def test_folders_that_are_not_what_they_should_be(self, gallery, people, tmp_path):
        name, crops = people[0]
        loose = folder_of(tmp_path / "loose", crops)
        (tmp_path / "empty").mkdir()
        for words, complaint in (
            ((name,), f"expected photos of '{name}', or a folder"),
            ((loose,), "expected a folder for each person, got none; a person's own photos"),
            ((name, tmp_path), "got none; with a folder for each person give it alone"),
            ((name, tmp_path / "empty"), "expected photos in this folder, got none"),
        ):
            outcome = gallery("enroll", *words)
            assert (outcome.code, complaint in outcome.complaint) == (2, True), outcome.complaint
        folder_of(loose / "anna", crops)
        assert "got photos beside them" in gallery("enroll", loose).complaint

    def test_a_kind_that_phones_write_is_named_with_what_to_do(self, gallery, people, tmp_path):
        folder = folder_of(tmp_path / "crops", people[0][1])
        (folder / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
        outcome = gallery("enroll", people[0][0], folder)
        assert outcome.code == 1
        assert "IMG_1.HEIC: expected a JPEG, PNG, BMP, TIFF or WebP, got HEIC" in outcome.complaint
        assert "heif-convert" in outcome.complaint

    def test_an_enrolment_is_redone(self, gallery, people, path):
        (name, crops), (_, others) = people
        gallery("enroll", name, others[0])
        assert gallery("enroll", name, *crops, "--replace").code == 0
        with GalleryStore.open(path) as store:
            names = {each.photo_name for each in store.templates(name)}
        assert names == set(map(str, crops))
        again = gallery("enroll", name, crops[0], "--replace")
        assert f"{name}: 1 template now, in place of the earlier ones" in again.out

    def test_only_of_somebody_enrolled(self, gallery, people, path):
        name, crops = people[0]
        outcome = gallery("enroll", name, *crops, "--replace")
        assert (outcome.code, f"nobody called {name!r}" in outcome.complaint) == (1, True)
        assert names_in(path) == []

    def test_a_redone_enrolment_that_fails_leaves_the_old_one(self, gallery, people, wall, path):
        name, crops = people[0]
        gallery("enroll", name, *crops)
        assert gallery("enroll", name, wall, "--replace").code == 1
        with GalleryStore.open(path) as store:
            assert len(store.templates(name)) == len(crops)

    def test_a_name_nobody_can_read_is_refused(self, gallery, people):
        outcome = gallery("enroll", "two\nlines", *people[0][1])
        assert outcome.code == 1
        assert "printable" in outcome.complaint

    def test_another_spelling_is_refused(self, gallery, people, path):
        name, crops = people[0]
        gallery("enroll", name, crops[0])
        outcome = gallery("enroll", name.swapcase(), people[1][1][0])
        assert outcome.code == 1
        assert f"is enrolled as {name!r}" in outcome.complaint

    def test_another_spelling_is_refused_also_with_the_very_photo(self, gallery, people):
        name, crops = people[0]
        gallery("enroll", name, crops[0])
        outcome = gallery("enroll", name.swapcase(), crops[0])
        assert outcome.code == 1
        assert f"is enrolled as {name!r}" in outcome.complaint
        assert "skipped" not in outcome.out


class TestLooking:
    @pytest.fixture(autouse=True)
    def enrolled(self, gallery, people):
        for name, crops in people:
            assert gallery("enroll", name, *crops).code == 0

    def test_list_shows_everybody(self, gallery, people):
        outcome = gallery("list")
        assert outcome.code == 0
        for name, crops in people:
            assert re.search(rf"^{name} +{len(crops)} ", outcome.out, re.MULTILINE)
        assert "2 people" in outcome.out

    def test_list_as_json(self, gallery, people):
        listed = json.loads(gallery("list", "--json").out)
        assert {each["identity"]: each["templates"] for each in listed} == {
            name: len(crops) for name, crops in people
        }

    def test_show_tells_where_each_template_comes_from(self, gallery, people, path):
        name, _ = people[0]
        outcome = gallery("show", name.upper())
        with GalleryStore.open(path) as store:
            for template in store.templates(name):
                assert template.source_sha256[:16] in outcome.out
                assert template.model_id in outcome.out

    def test_show_tells_the_photo_as_it_was_given(self, gallery, people):
        name, crops = people[0]
        told = gallery("show", name).out
        shown = json.loads(gallery("show", name, "--json").out)
        assert shown["identity"] == name
        assert [each["photo_name"] for each in shown["templates"]] == list(map(str, crops))
        assert all(str(crop) in told for crop in crops)

    def test_in_a_pipe_no_name_is_cut(self, gallery, people):
        name, long = people[0][0], "Anna Lena Maria von und zu Hohenheim-Langenstein der Zweiten"
        assert gallery("rename", name, long).code == 0
        (line,) = [line for line in gallery("list").out.splitlines() if line.startswith(long)]
        assert line.rstrip().endswith("UTC")

    def test_one_bad_template_is_removed(self, gallery, people, path):
        name, crops = people[0]
        with GalleryStore.open(path) as store:
            first, *others = store.templates(name)
        assert gallery("remove", name, "--template", first.template_id).code == 0
        with GalleryStore.open(path) as store:
            assert [each.template_id for each in store.templates(name)] == [
                each.template_id for each in others
            ]
        on_disk = b"".join(file.read_bytes() for file in path.parent.glob("gallery.db*"))
        assert first.vector.tobytes() not in on_disk
        assert crops[0].name.encode() not in on_disk
        refused = gallery("remove", name, "--template", first.template_id)
        assert f"expected the number of a template of {name!r}" in refused.complaint

    def test_without_the_last_template_nobody_is_left(self, gallery, people, path):
        name, crops = people[0]
        numbers = [word for n in range(1, len(crops) + 1) for word in ("--template", n)]
        outcome = gallery("remove", name, *numbers)
        assert f"{name} had no other and is enrolled no more" in outcome.out
        assert names_in(path) == [people[1][0]]

    def test_a_person_gets_another_name(self, gallery, people, path):
        (name, _), (other, _) = people
        assert gallery("rename", name, "Anna").code == 0
        assert sorted(names_in(path)) == sorted(["Anna", other])
        assert gallery("rename", "anna", "ANNA").code == 0
        assert "ANNA" in names_in(path)
        refused = gallery("rename", "ANNA", other)
        assert "`edge-reid gallery merge` joins the two" in refused.complaint
        on_disk = b"".join(file.read_bytes() for file in path.parent.glob("gallery.db*"))
        assert name.encode() not in on_disk, "nor in the names of photos"

    def test_a_misfiled_template_goes_to_whom_it_shows(self, gallery, people, path):
        (name, crops), (other, _) = people
        assert "1 template of" in gallery("rename", name, other, "--template", 1).out
        assert "1 template of" in gallery("rename", name, "Zoe", "--template", 2).out
        with GalleryStore.open(path) as store:
            assert 1 in [each.template_id for each in store.templates(other)]
            assert [each.template_id for each in store.templates("zoe")] == [2]
        assert (name in names_in(path)) == (len(crops) > 2)

    def test_two_who_look_like_two_are_not_merged_unasked(self, gallery, people, path):
        (name, _), (other, _) = people
        refused = gallery("merge", name, other)
        assert refused.code == 1
        assert f"{name} and {other} look like two people: similarity 0." in refused.complaint
        beyond, least = load_embedding_manifest(shipped_model(EMBEDDING)).least_genuine
        reached = f"below the {least:.2f} that {1 - beyond:.0%} of the comparisons of one person"
        assert reached in refused.complaint
        assert len(names_in(path)) == 2
        assert gallery("merge", name, other, "--yes").code == 0
        assert names_in(path) == [other]

    def test_names_of_photos_do_not_leave_the_file(self, gallery, people, tmp_path, path):
        file = tmp_path / "people.jsonl"
        gallery("export", file)
        with GalleryStore.open(path) as store:
            published = "".join(each.model_dump_json() for each in people_of(store.templates()))
        for _, crops in people:
            for crop in crops:
                assert crop.name not in file.read_text()
                assert crop.name not in published

    def test_remove_forgets_one_and_keeps_the_others(self, gallery, people, path):
        (gone, _), (kept, _) = people
        with GalleryStore.open(path) as store:
            vectors = [template.vector.tobytes() for template in store.templates(gone)]
        assert gallery("remove", gone).code == 0
        assert names_in(path) == [kept]
        assert not any(vector in path.read_bytes() for vector in vectors)
        for verb in ("remove", "show"):
            again = gallery(verb, gone)
            assert again.code == 1
            assert f"nobody called {gone!r} is enrolled" in again.complaint

    def test_export_and_import_carry_everybody_to_another_device(
        self, gallery, edge_reid, path, tmp_path, people
    ):
        file, other = tmp_path / "people.jsonl", tmp_path / "other.db"
        assert gallery("export", file).code == 0
        assert edge_reid("gallery", "init", other).code == 0
        assert edge_reid("gallery", "import", file, "--gallery", other).code == 0
        assert names_in(other) == names_in(path)
        for _, crops in people:
            assert not any(crop.read_bytes() in file.read_bytes() for crop in crops)

    def test_importing_what_is_there_is_refused_unless_it_is_to_be_skipped(
        self, gallery, people, tmp_path, path
    ):
        file = tmp_path / "people.jsonl"
        gallery("export", file)
        gallery("remove", people[0][0])
        refused = gallery("import", file)
        assert refused.code == 1
        assert "enrolled already, nothing was imported; --skip-known" in refused.complaint
        assert len(names_in(path)) == 1
        assert gallery("import", file, "--skip-known").code == 0
        assert len(names_in(path)) == 2
