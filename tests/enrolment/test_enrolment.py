"""Photos, uploads and crops become templates without a command line; who somebody may be."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support import campus

import edge_reid.enrolment
from edge_reid.core.errors import PhotoError
from edge_reid.core.types import Known, Unknown
from edge_reid.enrolment.enrolment import (
    EnrolledPhoto,
    PhotoConflict,
    PhotoOutcome,
    RefusedPhotosError,
    SkippedPhoto,
    SkipReason,
    prepare_enrolment,
    store_enrolment,
)
from edge_reid.enrolment.enrolment_concerns import concerns_about
from edge_reid.enrolment.identification import identify
from edge_reid.enrolment.photo_embedding import EmbeddedView, PhotoEmbedder, Pick, photo_of_image
from edge_reid.enrolment.same_person import compare_identities
from edge_reid.gallery.store import GalleryStore
from edge_reid.matching.index import Index
from edge_reid.vision.photo import decode_photo

PEOPLE = campus.ENROLLED[:2]
RED, BOMBER = PEOPLE


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Crops of two people of the clip."""
    return campus.write_photos(campus.people(*PEOPLE), tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def embedder() -> PhotoEmbedder:
    return PhotoEmbedder()


@pytest.fixture
def store(embedder: PhotoEmbedder, tmp_path: Path) -> Iterator[GalleryStore]:
    manifest = embedder.manifest
    path = tmp_path / "gallery.db"
    with GalleryStore.create(path, manifest.model_id, manifest.dimension) as store:
        yield store


def test_nothing_is_stored_before_somebody_says_so(
    photos: dict[str, list[Path]], embedder: PhotoEmbedder, store: GalleryStore
) -> None:
    seen: list[PhotoOutcome] = []
    prepared = prepare_enrolment(photos, embedder, store, on_photo=seen.append)
    assert store.templates() == ()
    assert len(seen) == sum(map(len, photos.values()))
    store_enrolment(prepared, store)
    stored = store.templates()
    assert [template.identity for template in stored] == [
        name for name, theirs in photos.items() for _ in theirs
    ]
    for template, outcome in zip(stored, seen, strict=True):
        assert isinstance(outcome, EnrolledPhoto)
        np.testing.assert_allclose(template.vector, outcome.photo.embedding.vector, atol=1e-6)
        assert template.quality == outcome.photo.embedding.quality


def test_what_gives_no_template_is_named_with_its_reason(
    photos: dict[str, list[Path]], embedder: PhotoEmbedder, store: GalleryStore
) -> None:
    first, second = photos[RED][:2]
    store_enrolment(prepare_enrolment({RED: [first]}, embedder, store), store)
    again = prepare_enrolment({RED: [first, second, second]}, embedder, store)
    assert again.skipped == (
        SkippedPhoto(first, RED, SkipReason.ENROLLED),
        SkippedPhoto(second, RED, SkipReason.REPEATED),
    )
    anew = prepare_enrolment({RED: [first]}, embedder, store, replace=True)
    assert (anew.skipped, len(anew.templates), anew.replaces) == ((), 1, True)


def test_a_photo_under_two_names_and_one_of_somebody_else_are_conflicts(
    photos: dict[str, list[Path]], embedder: PhotoEmbedder, store: GalleryStore
) -> None:
    store_enrolment(prepare_enrolment({RED: photos[RED][:1]}, embedder, store), store)
    same, other = photos[RED][:2]
    (twin,) = prepare_enrolment({BOMBER: [same]}, embedder, store).conflicts
    prepared = prepare_enrolment({BOMBER: [other]}, embedder, store)
    (alike,) = prepared.conflicts
    assert (twin.path, twin.other, twin.similarity) == (same, RED, None)
    assert "is the very photo that red-sleeves is enrolled with" in twin.message
    assert (alike.path, alike.identity, alike.other) == (other, BOMBER, RED)
    assert alike.similarity is not None
    assert "check the photo" in alike.message
    assert len(prepared.templates) == 1, "a conflict forbids nothing"


def test_bad_photos_are_named_all_at_once_and_nobody_is_enrolled(
    photos: dict[str, list[Path]], embedder: PhotoEmbedder, store: GalleryStore, tmp_path: Path
) -> None:
    torn = tmp_path / "torn.png"
    torn.write_bytes(photos[RED][0].read_bytes()[:200])
    with pytest.raises(PhotoError, match=r"nobody was enrolled: .*torn\.png.*; .*gone\.png"):
        prepare_enrolment({RED: [torn, photos[RED][0], Path("gone.png")]}, embedder, store)


def test_what_to_do_about_photos_of_nobody_is_said_once(
    embedder: PhotoEmbedder, store: GalleryStore
) -> None:
    walls = [
        photo_of_image(f"wall {shade}", np.full((240, 320, 3), shade, np.uint8))
        for shade in (90, 120, 150)
    ]
    with pytest.raises(RefusedPhotosError) as refused:
        prepare_enrolment({RED: walls}, embedder, store)
    assert refused.value.lines == (
        "nobody was enrolled: 3 photos give no template",
        *(f"  - photo {wall.path}: expected a person, got nobody" for wall in walls),
        "3 photos show nobody: take other photos, or give them one by one with --box x1,y1,x2,y2",
    )
    assert str(refused.value).count("--box") == 1


def test_an_upload_and_a_crop_in_memory_are_photos_like_files(
    photos: dict[str, list[Path]], embedder: PhotoEmbedder, store: GalleryStore
) -> None:
    path = photos[RED][0]
    upload = decode_photo(Path("upload.png"), path.read_bytes())
    crop = photo_of_image("track 12", upload.image)
    prepared = prepare_enrolment({"file": [path], "upload": [upload, crop]}, embedder, store)
    from_file, from_upload, from_crop = prepared.templates
    np.testing.assert_array_equal(from_file.vector, from_upload.vector)
    np.testing.assert_array_equal(from_file.vector, from_crop.vector)
    assert from_file.source_sha256 == from_upload.source_sha256 != from_crop.source_sha256
    assert from_crop.photo_name == "track 12"
    for data in (b"", b"no image"):
        with pytest.raises(PhotoError, match=r"upload\.png: expected"):
            decode_photo(Path("upload.png"), data)


def test_a_view_that_a_camera_has_embedded_is_enrolled_as_it_is_and_once(
    photos: dict[str, list[Path]], embedder: PhotoEmbedder, store: GalleryStore
) -> None:
    (seen,) = identify([photos[RED][0]], embedder, Index(store.snapshot())).photos
    view = EmbeddedView(Path("camera gate, track 12"), seen.embedding)
    without_models = PhotoEmbedder(detector=Path("there is none"))
    (stored,) = store_enrolment(prepare_enrolment({RED: [view]}, without_models, store), store)
    np.testing.assert_allclose(stored.vector, seen.embedding.vector, atol=1e-6)
    assert (stored.quality, stored.photo_name) == (seen.embedding.quality, str(view.path))
    again = prepare_enrolment({RED: [view]}, without_models, store)
    assert again.skipped == (SkippedPhoto(view.path, RED, SkipReason.ENROLLED),)


def test_the_doctor_speaks_before_anything_is_stored(
    photos: dict[str, list[Path]], embedder: PhotoEmbedder, store: GalleryStore
) -> None:
    def words(people: dict[str, list[Path]]) -> tuple[str, ...]:
        return concerns_about(prepare_enrolment(people, embedder, store), store, embedder.manifest)

    assert words(photos) == (), "two people, each under a name"
    mixed = {"somebody": [*photos[RED], *photos[BOMBER]]}
    (two_people,) = words(mixed)
    assert two_people.startswith("somebody: one identity, two people: its templates fall into")
    store_enrolment(prepare_enrolment({RED: photos[RED]}, embedder, store), store)
    stray = photos[BOMBER][0]
    far, *_ = words({RED: [stray]})
    assert far.startswith(f"{stray}: far from its own: similarity to the nearest of its own")
    (doubled, *_) = words({BOMBER: photos[RED][:1]})
    assert doubled.startswith(f"{photos[RED][0]} is the very photo")
    assert "edge-reid" not in doubled, "whoever decides on a page has no command line"
    assert len(store.templates()) == len(photos[RED])


def test_a_picked_box_of_a_scene_is_the_person_there(
    photos: dict[str, list[Path]], embedder: PhotoEmbedder, store: GalleryStore
) -> None:
    store_enrolment(prepare_enrolment(photos, embedder, store), store)
    (person,) = campus.people(RED)
    frame, box = person.enrol[0]
    scene = photo_of_image("frame", campus.read_frames({frame})[frame])
    with pytest.raises(PhotoError, match="expected one person"):
        identify([scene], embedder, Index(store.snapshot()))
    found = identify([scene], embedder, Index(store.snapshot()), pick=Pick(box))
    assert found.candidates[0].identity == RED
    (photo,) = found.photos
    assert photo.box.x1 == pytest.approx(box.x1, abs=1)


def test_who_somebody_may_be(
    photos: dict[str, list[Path]], embedder: PhotoEmbedder, store: GalleryStore
) -> None:
    nobody = identify([photos[RED][0]], embedder, Index(store.snapshot()))
    assert isinstance(nobody.decision, Unknown)
    assert nobody.candidates == ()
    store_enrolment(prepare_enrolment(photos, embedder, store), store)
    index = Index(store.snapshot())
    found = identify(photos[RED], embedder, index, top=1)
    assert isinstance(found.decision, Known)
    assert [each.identity for each in found.candidates] == [RED] == [found.decision.identity]
    assert (found.two_people, found.gallery_version) == (None, store.version)
    mixed = identify([*photos[RED], *photos[BOMBER]], embedder, index).two_people
    assert mixed is not None
    assert sorted(mixed.sizes) == sorted((len(photos[RED]), len(photos[BOMBER])))
    assert "may show two people" in mixed.message


def test_two_people_are_not_merged_unasked(
    photos: dict[str, list[Path]], embedder: PhotoEmbedder, store: GalleryStore
) -> None:
    halves = {"red": photos[RED][::2], "red again": photos[RED][1::2], BOMBER: photos[BOMBER]}
    store_enrolment(prepare_enrolment(halves, embedder, store), store)
    alike = compare_identities(store, "red", "red again", embedder.manifest)
    assert alike is not None
    assert not alike.is_of_two
    assert "red and red again may be one person: similarity" in alike.message
    unlike = compare_identities(store, "red", BOMBER, embedder.manifest)
    assert unlike is not None
    assert unlike.is_of_two
    assert unlike.similarity < unlike.least
    assert f"red and {BOMBER} look like two people" in unlike.message


def test_the_service_needs_no_command_line() -> None:
    modules = [path.stem for path in Path(edge_reid.enrolment.__file__).parent.glob("[a-z]*.py")]
    assert "promotion" in modules
    imports = "\n".join(f"import edge_reid.enrolment.{module}" for module in modules)
    script = f"import sys\n{imports}\nassert not {{'typer', 'rich', 'click'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize(
    ("other", "own", "said"),
    [
        (0.91, 0.62, "closer to zoe (0.91) than to its own identity (0.62)"),
        (0.6243, 0.6221, "closer to zoe (0.624) than to its own identity (0.622)"),
        (0.62217, 0.62213, "closer to zoe (0.6222) than to its own identity (0.6221)"),
        (0.622102, 0.622101, "as close to zoe as to its own identity (0.6221)"),
    ],
)
def test_who_is_closer_is_said_with_the_digits_that_tell_them_apart(
    other: float, own: float, said: str
) -> None:
    conflict = PhotoConflict(Path("a.jpg"), "ana", "zoe", other, own)
    assert conflict.message == f"a.jpg is {said}; check the photo"
