"""The HTML of enrolling: a person of the picture, a photo, and what the doctor says before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_reid.core.types import Candidate
from edge_reid.strangers.stranger import PROMOTED
from edge_reid.web.crop_ring import KeptCrop
from edge_reid.web.page_markup import Markup, PageFrame, clock_time, filled, joined
from edge_reid.web.page_templates import candidate_html
from edge_reid.web.photo_forms import MOST_PHOTO_BYTES, MOST_PHOTO_PIXELS

MOST_CROPS = 12
"""Of a track, the best."""


@dataclass(frozen=True, slots=True, eq=False)
class TrackShown:
    """A person of a camera's picture."""

    camera: str
    track_id: int
    crops: tuple[KeptCrop, ...]
    """By falling quality."""
    is_in_view: bool
    alike: tuple[Candidate, ...]
    """The people enrolled whom they are most like."""
    threshold: float
    doubt: str
    """Why the crops may show two people; empty: nothing says so."""


def track_html(frame: PageFrame, track: TrackShown, followed: str | None) -> str:
    """A person of the picture, to be named.

    Args:
        frame: of the page.
        track: whom it shows.
        followed: where the gallery comes from; None: it is the device's own.
    """
    alike = joined(candidate_html(each, track.threshold) for each in track.alike)
    crops = joined(
        _crop(crop, is_chosen=number < PROMOTED)
        for number, crop in enumerate(track.crops[:MOST_CROPS])
    )
    body = filled(
        "track.html",
        token=frame.token,
        camera=track.camera,
        track=str(track.track_id),
        where="in view" if track.is_in_view else "not in view any more",
        crops=crops,
        most=str(PROMOTED),
        alike=alike or filled("nobody.html"),
        doubt=filled("doubt.html", words=track.doubt) if track.doubt else Markup(),
        form=Markup() if followed else filled("track_name.html", most=str(PROMOTED)),
        followed=filled("followed.html", source=followed) if followed else Markup(),
    )
    return frame.html(f"enrol track {track.track_id}", body)


def track_gone_html(frame: PageFrame, camera: str) -> str:
    """A person of whom no crop is kept."""
    return frame.html("enrol", filled("track_gone.html", camera=camera))


def photo_html(frame: PageFrame, followed: str | None) -> str:
    """Where a photo is given; `followed` as of `track_html`."""
    if followed:
        return frame.html("enrol", filled("followed.html", source=followed))
    body = filled(
        "enrol_photo.html",
        token=frame.token,
        megabytes=str(MOST_PHOTO_BYTES >> 20),
        megapixels=str(MOST_PHOTO_PIXELS // 1_000_000),
    )
    return frame.html("enrol", body)


def concerns_html(frame: PageFrame, ticket: str, name: str, concerns: Sequence[str]) -> str:
    """What the doctor says against an enrolment, and whether to go on."""
    body = filled(
        "concerns.html",
        token=frame.token,
        ticket=ticket,
        name=name,
        concerns=joined(filled("concern.html", words=words) for words in concerns),
    )
    return frame.html(f"enrol {name}", body)


def _crop(crop: KeptCrop, *, is_chosen: bool) -> Markup:
    return filled(
        "enrol_crop.html",
        number=str(crop.number),
        quality=f"{crop.embedding.quality:.2f}",
        at=clock_time(crop.captured_utc_s),
        checked=filled("checked.html") if is_chosen else Markup(),
    )
