"""Answers to operators who enrol: a person of the live picture, or one of a photo."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from edge_reid.core.errors import GalleryError, PhotoError
from edge_reid.enrolment.enrolment import (
    Enrolment,
    RefusedPhotosError,
    prepare_enrolment,
    store_enrolment,
)
from edge_reid.enrolment.enrolment_concerns import concerns_about
from edge_reid.enrolment.photo_embedding import EmbeddedPhoto, EmbeddedView, Pick
from edge_reid.enrolment.same_person import find_two_people
from edge_reid.gallery.identity import identity_name
from edge_reid.gallery.store import GalleryStore
from edge_reid.matching.fusion import mean_vector
from edge_reid.strangers.stranger import PROMOTED
from edge_reid.vision.photo import decode_photo
from edge_reid.vision.unclear_photo import CrowdedPhotoError, EmptyPhotoError, UnclearPhotoError
from edge_reid.web import gallery_changes
from edge_reid.web.crop_ring import KeptCrop
from edge_reid.web.enrol_pages import (
    TrackShown,
    concerns_html,
    photo_html,
    track_gone_html,
    track_html,
)
from edge_reid.web.explained_routes import ExplainedRoutes
from edge_reid.web.page_entrance import refused
from edge_reid.web.page_gallery import GalleryChange, PageGallery, followed_source
from edge_reid.web.page_markup import clock_time
from edge_reid.web.people_facts import person_id
from edge_reid.web.people_page_parts import PeoplePageParts
from edge_reid.web.photo_forms import MOST_PHOTO_PIXELS, PhotoForms

_ALIKE = 3
_TRACK = "/cameras/{camera}/tracks/{track:number}"
_CHOSEN = re.compile(r"crop-([0-9]{1,12})")
_REMEDIES: Mapping[type[UnclearPhotoError], str] = {
    EmptyPhotoError: "take another photo, with a person from head to feet",
    CrowdedPhotoError: "cut the photo to one of them, or tick that the largest is taken",
}
"""Of photos of which it is not clear whom they show."""

Prepare = Callable[[GalleryStore], Enrolment]


class EnrolRoutes:
    """Enrolling."""

    def __init__(self, parts: PeoplePageParts) -> None:
        settings = parts.settings
        self._cameras = frozenset(settings.cameras)
        self._followed = followed_source(settings)
        self._run = parts.run
        self._entrance = parts.entrance
        self._gallery = parts.gallery
        self._pending = parts.pending
        self._photos = PhotoForms()

    def routes(self) -> list[Route]:
        """Of the page."""
        make = ExplainedRoutes(self._entrance)
        return [
            make.shown("operator", _TRACK, self._track),
            make.done("operator", _TRACK, self._enrol_track),
            make.shown("viewer", "/crops/{number:number}.jpg", self._crop),
            make.shown("operator", "/enrol", self._photo),
            make.done("operator", "/enrol", self._enrol_photo, self._photos.read),
            make.done("operator", "/enrol/confirm", self._confirm),
        ]

    async def _track(self, request: Request) -> Response:
        camera, track_id = request.path_params["camera"], request.path_params["track"]
        if camera not in self._cameras or self._run.parts is None:
            raise refused(404)
        crops = self._run.view.crops_of(camera, track_id)
        if not crops:
            return self._entrance.html(request, lambda frame: track_gone_html(frame, camera), 404)
        track = self._shown(camera, track_id, crops)
        return self._entrance.html(request, lambda frame: track_html(frame, track, self._followed))

    def _shown(self, camera: str, track_id: int, crops: tuple[KeptCrop, ...]) -> TrackShown:
        assert self._run.parts is not None  # noqa: S101 - asked by the caller
        policy, seen = self._run.parts.policies.of(camera).current, self._run.view.camera(camera)
        embeddings = [crop.embedding for crop in crops]
        vector = mean_vector(embeddings, policy.index.model_id)
        two_people = find_two_people(embeddings, self._gallery.manifest)
        return TrackShown(
            camera,
            track_id,
            crops,
            is_in_view=bool(seen and any(one.track_id == track_id for one in seen.step.tracks)),
            alike=() if vector is None else policy.index.search(vector, k=_ALIKE),
            threshold=policy.threshold,
            doubt=two_people.message if two_people else "",
        )

    async def _crop(self, request: Request) -> Response:
        number = request.path_params["number"]
        found = [crop.jpeg for crop in self._run.view.crops if crop.number == number]
        if not found:
            raise refused(404)
        return Response(found[0], media_type="image/jpeg")

    async def _enrol_track(self, request: Request) -> Response:
        camera, track_id = request.path_params["camera"], request.path_params["track"]
        name = identity_name(request.state.form.get("name", ""))
        crops = _chosen(self._run.view.crops_of(camera, track_id), request.state.form)
        views = [
            EmbeddedView(
                Path(f"{camera}, {clock_time(crop.captured_utc_s)}, track {track_id}"),
                crop.embedding,
            )
            for crop in crops
        ]

        def prepare(store: GalleryStore) -> Enrolment:
            return prepare_enrolment({name: views}, self._gallery.embedder(), store)

        return await self.enrol(request, name, prepare)

    async def _photo(self, request: Request) -> Response:
        return self._entrance.html(request, lambda frame: photo_html(frame, self._followed))

    async def _enrol_photo(self, request: Request) -> Response:
        form, data = request.state.form, request.state.photo
        name, pick = identity_name(form.get("name", "")), Pick(largest="largest" in form)
        if data is None:
            raise PhotoError("photo: expected one, got none; choose a file")
        embedder = self._gallery.embedder

        def prepare(store: GalleryStore) -> Enrolment:
            photo = decode_photo(Path(form["photo"]), data, most_pixels=MOST_PHOTO_PIXELS)
            try:
                return prepare_enrolment({name: [photo]}, embedder(), store, pick=pick)
            except RefusedPhotosError as error:
                raise RefusedPhotosError([*map(_mended_here, error.mistakes)]) from error

        return await self.enrol(request, name, prepare)

    async def enrol(self, request: Request, name: str, prepare: Prepare) -> Response:
        """Enrol somebody; where the doctor has a word to say, ask before."""
        enrolment, concerns = await self._gallery.look(
            lambda store: _with_concerns(prepare(store), store, self._gallery)
        )
        if not enrolment.templates:
            raise GalleryError(f"enrolment: expected something new of {name}, got what they have")

        def act(store: GalleryStore) -> GalleryChange:
            stored = store_enrolment(enrolment, store)
            return gallery_changes.enrolled(stored, _remarks(enrolment))

        if concerns:
            ticket = self._pending.put(name, concerns, act)
            return self._entrance.html(
                request, lambda frame: concerns_html(frame, ticket, name, concerns)
            )
        await self._gallery.change(act)
        return RedirectResponse(f"/people/{person_id(name)}", 303)

    async def _confirm(self, request: Request) -> Response:
        pending = self._pending.take(request.state.form.get("ticket", ""))
        await self._gallery.change(pending.store)
        return RedirectResponse(f"/people/{person_id(pending.name)}", 303)


def _with_concerns(
    enrolment: Enrolment, store: GalleryStore, gallery: PageGallery
) -> tuple[Enrolment, tuple[str, ...]]:
    return enrolment, concerns_about(enrolment, store, gallery.manifest)


def _chosen(crops: Sequence[KeptCrop], form: Mapping[str, str]) -> list[KeptCrop]:
    """The crops that were ticked.

    Raises:
        GalleryError: none was, or too many, or they are not kept any more.
    """
    numbers = {int(found[1]) for field in form if (found := _CHOSEN.fullmatch(field))}
    chosen = [crop for crop in crops if crop.number in numbers]
    if not 0 < len(numbers) <= PROMOTED:
        raise GalleryError(
            f"enrolment: expected 1 to {PROMOTED} crops, got {len(numbers)}; tick the best"
        )
    if len(chosen) != len(numbers):
        raise GalleryError(
            "enrolment: expected crops of this track, got some that are not kept any more; open "
            "the track anew"
        )
    return chosen


def _mended_here(mistake: PhotoError) -> PhotoError:
    """The same mistake, with what can be done about it on this page and not on a command line."""
    if not isinstance(mistake, UnclearPhotoError):
        return mistake
    return PhotoError(f"{mistake.what}; {_REMEDIES[type(mistake)]}")


def _remarks(enrolment: Enrolment) -> str:
    """What was taken of a photo."""
    seen = [photo.photo for photos in enrolment.enrolled.values() for photo in photos]
    photos = [each for each in seen if isinstance(each, EmbeddedPhoto)]
    return "".join(
        f" ({each.origin.value}, quality {each.embedding.quality:.2f})" for each in photos
    )
