"""Which person a photo is about. Detections are given, so that each rule can be seen alone."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from edge_reid.core.errors import PhotoError, UsageError
from edge_reid.core.geometry import Box
from edge_reid.core.types import Detection
from edge_reid.vision.photo import Photo
from edge_reid.vision.subject import (
    BoxOrigin,
    CrowdedPhotoError,
    find_subject,
    numbered_subject,
    subject_at,
)


class Given:
    """A detector that finds what it was told."""

    manifest = None
    strong_score = 0.5
    weak_score = 0.2

    def __init__(self, *found):
        self._found = tuple(Detection(Box(*box), score) for *box, score in found)

    def detect(self, image):
        return tuple(sorted(self._found, key=lambda each: -each.score))


def photo(width, height):
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    return Photo(Path("p.jpg"), noise, "0" * 64)


class TestScene:
    scene = photo(640, 480)

    def test_the_only_person_is_cut_out(self):
        subject = find_subject(self.scene, Given((100, 50, 180, 250, 0.8)))
        assert subject.origin is BoxOrigin.SCENE
        assert (subject.box, subject.score) == (Box(100, 50, 180, 250), pytest.approx(0.8))
        np.testing.assert_array_equal(subject.image, self.scene.image[50:250, 100:180])
        assert 0 < subject.quality <= 1

    def test_small_people_far_behind_are_no_rivals(self):
        found = Given((100, 50, 180, 250, 0.8), (300, 50, 320, 100, 0.9), (400, 50, 420, 90, 0.9))
        assert find_subject(self.scene, found).box == Box(100, 50, 180, 250)

    def test_prominence_is_area_times_score(self):
        smaller_but_surer = (300, 50, 375, 250, 0.95)
        larger = (100, 50, 180, 250, 0.6)
        subject = find_subject(self.scene, Given(larger, smaller_but_surer), largest=True)
        assert subject.box == Box(300, 50, 375, 250)

    def test_two_plausible_people_are_an_error_that_lists_them(self):
        found = Given((100, 50, 180, 250, 0.6), (300.4, 50, 380, 250, 0.9))
        with pytest.raises(PhotoError) as caught:
            find_subject(self.scene, found)
        assert str(caught.value) == (
            "photo p.jpg: expected one person, got 2: 1 at 300,50,380,250; 2 at 100,50,180,250; "
            "choose one with --box, by number or as x1,y1,x2,y2, or take number 1 with --largest"
        )

    def test_everybody_seen_surely_has_a_number_and_is_counted_also_who_is_no_rival(self):
        near, near_too = (100, 50, 180, 250, 0.9), (300, 50, 380, 250, 0.8)
        far, doubtful = (500, 50, 520, 100, 0.9), (550, 50, 630, 250, 0.4)
        found = Given(far, doubtful, near_too, near)
        listed = r"expected one person, got 3: .*; 3 at 500,50"
        with pytest.raises(CrowdedPhotoError, match=listed) as caught:
            find_subject(self.scene, found)
        assert "got 3: look at p.boxes.jpg" in str(caught.value.seen_in(Path("p.boxes.jpg")))
        assert caught.value.boxes == tuple(Box(*box[:4]) for box in (near, near_too, far))
        for number, box in enumerate(caught.value.boxes, start=1):
            subject = numbered_subject(self.scene, number, found)
            assert (subject.box, subject.origin) == (box, BoxOrigin.SCENE)

    def test_who_is_chosen_by_number_is_judged_as_anybody_of_a_scene(self):
        alone = numbered_subject(self.scene, 1, Given((100, 50, 180, 250, 0.8)))
        hidden = numbered_subject(
            self.scene, 2, Given((100, 50, 180, 250, 0.8), (90, 50, 170, 260, 0.9))
        )
        assert hidden.box == alone.box
        assert hidden.quality < alone.quality

    @pytest.mark.parametrize(
        ("people", "numbers"), [(1, "--box 1, its only person"), (2, "--box 1 to 2, its people")]
    )
    def test_a_number_that_nobody_has(self, people, numbers):
        found = [(100, 50, 180, 250, 0.8), (300, 50, 320, 100, 0.9)][:people]
        with pytest.raises(UsageError) as caught:
            numbered_subject(self.scene, 3, Given(*found))
        assert str(caught.value) == f"photo p.jpg: expected {numbers}, got --box 3"

    def test_nobody_has_a_number_where_nobody_is(self):
        with pytest.raises(PhotoError, match="expected a person, got nobody"):
            numbered_subject(self.scene, 1, Given((100, 50, 180, 250, 0.4)))

    def test_the_error_may_come_from_another_process(self):
        with pytest.raises(CrowdedPhotoError) as caught:
            find_subject(self.scene, Given((100, 50, 180, 250, 0.6), (300, 50, 380, 250, 0.9)))
        error = caught.value.seen_in(Path("p.boxes.jpg"))
        again = pickle.loads(pickle.dumps(error))
        assert (str(again), again.boxes) == (str(error), caught.value.boxes)
        assert "look at p.boxes.jpg" in str(again)

    def test_nobody(self):
        with pytest.raises(PhotoError, match="expected a person, got nobody; take another photo"):
            find_subject(self.scene, Given())

    def test_somebody_seen_weakly_in_a_scene_is_nobody(self):
        with pytest.raises(PhotoError, match="got nobody"):
            find_subject(self.scene, Given((100, 50, 180, 250, 0.4)))

    def test_whom_another_person_hides_has_less_quality(self):
        alone = find_subject(self.scene, Given((100, 50, 180, 250, 0.8)))
        hidden = find_subject(
            self.scene, Given((100, 50, 180, 250, 0.8), (140, 50, 220, 250, 0.7)), largest=True
        )
        assert hidden.quality < alone.quality


class TestCrop:
    def test_a_picture_of_the_shape_of_a_crop_is_taken_whole_if_anybody_is_seen(self):
        crop = photo(64, 128)
        subject = find_subject(crop, Given((10, 30, 50, 90, 0.25)))
        assert subject.origin is BoxOrigin.CROP
        assert subject.box == Box(0, 0, 64, 128)
        assert subject.image is crop.image

    def test_one_with_nobody_is_refused(self):
        with pytest.raises(PhotoError, match="got nobody"):
            find_subject(photo(64, 128), Given())

    def test_one_with_two_people_is_refused(self):
        two = Given((0, 0, 30, 128, 0.7), (34, 0, 64, 128, 0.7))
        with pytest.raises(PhotoError, match="expected one person, got 2"):
            find_subject(photo(64, 128), two)
        assert find_subject(photo(64, 128), two, largest=True).origin is BoxOrigin.SCENE

    def test_a_passer_by_at_its_edge_does_not_matter(self):
        found = Given((5, 5, 60, 125, 0.7), (0, 40, 12, 80, 0.6))
        assert find_subject(photo(64, 128), found).origin is BoxOrigin.CROP

    def test_a_large_upright_picture_is_a_crop_only_if_somebody_fills_it(self):
        upright = photo(600, 900)
        filled = find_subject(upright, Given((40, 20, 560, 880, 0.9)))
        not_filled = find_subject(upright, Given((200, 300, 400, 800, 0.9)))
        assert filled.box == Box(0, 0, 600, 900)
        assert not_filled.box == Box(200, 300, 400, 800)
        with pytest.raises(PhotoError, match="got nobody"):
            find_subject(upright, Given((40, 20, 560, 880, 0.4)))

    def test_somebody_who_fills_a_wide_picture_is_cut_out(self):
        wide = find_subject(photo(640, 480), Given((10, 10, 600, 470, 0.9)))
        assert wide.origin is BoxOrigin.SCENE

    def test_a_crop_is_not_blamed_for_its_edges(self):
        """Cut out of the scene or handed in as a crop: about the same quality."""
        scene = photo(640, 480)
        box = Box(100, 50, 180, 250)
        crop = Photo(Path("c.jpg"), scene.image[50:250, 100:180].copy(), "0" * 64)
        from_crop = find_subject(crop, Given((0, 0, 80, 200, 0.8)))
        from_scene = subject_at(scene, box, Given((0, 0, 80, 200, 0.8)))
        assert from_crop.quality == pytest.approx(from_scene.quality, abs=0.02)


class TestBox:
    def test_it_is_cut_as_given_inside_the_photo(self):
        scene = photo(640, 480)
        subject = subject_at(scene, Box(600, 400, 700, 500), Given((5, 5, 35, 75, 0.3)))
        assert subject.origin is BoxOrigin.GIVEN
        assert subject.box == Box(600, 400, 640, 480)
        assert subject.score is None
        np.testing.assert_array_equal(subject.image, scene.image[400:480, 600:640])

    def test_outside_of_the_photo_or_tiny_it_is_refused(self):
        for box in (Box(700, 0, 800, 100), Box(0, 0, 5, 100)):
            with pytest.raises(UsageError, match="8 × 8 px or more inside its 640 × 480"):
                subject_at(photo(640, 480), box, Given())

    def test_on_bare_background_it_is_refused(self):
        with pytest.raises(
            PhotoError, match="expected a person in the box 10,10,50,90, saw nobody"
        ):
            subject_at(photo(640, 480), Box(10, 10, 50, 90), Given())
