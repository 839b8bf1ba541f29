"""The HTML of the live page, the login, an opened hit, and zones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edge_reid.agent.wrong_names import TakenBack
from edge_reid.core.types import Candidate, Known
from edge_reid.web.hit_record import HitCrop, HitRecord
from edge_reid.web.page_markup import (
    Markup,
    PageFrame,
    clock_time,
    filled,
    joined,
    number_text,
)


def live_html(frame: PageFrame, cameras: Sequence[str], *, keeps_hits: bool) -> str:
    """The live page, with these cameras in order; and whether earlier hits are kept."""
    body = filled(
        "live.html",
        tiles=joined(_tile(frame, camera) for camera in cameras),
        forget=frame.form("forget.html", role="operator"),
        kept=filled("kept_link.html") if keeps_hits else Markup(),
        names="yes" if frame.may("operator") else "no",
    )
    return frame.html("live", body)


def areas_html(frame: PageFrame, camera: str, *, is_short: bool) -> str:
    """Where zones and masks of a camera are drawn, to be copied into the configuration.

    Args:
        frame: around it.
        camera: its name.
        is_short: the configuration has the camera as `camera` and `[source]`, where zones cannot
            stand.
    """
    form = filled("areas_short.html", camera=camera) if is_short else Markup()
    return frame.html(f"zones of {camera}", filled("areas.html", camera=camera, form=form))


def login_html(frame: PageFrame, mistake: str = "") -> str:
    """The login; `mistake`, if it did not go well."""
    words = filled("mistake.html", words=mistake) if mistake else Markup()
    return frame.html("log in", filled("login.html", token=frame.token, mistake=words))


def why_html(
    frame: PageFrame,
    record: HitRecord,
    taken: Sequence[TakenBack] = (),
    trouble: str = "",
    *,
    path: str,
    is_past: bool = False,
) -> str:
    """A hit, opened: its crops, whom they are like, and what was enough.

    Args:
        frame: around it.
        record: the hit.
        taken: names of its track that operators have taken back.
        trouble: why the last one was not, in words.
        path: of this page.
        is_past: it may be of an earlier run, and nothing can be said of it any more.
    """
    decision = record.decision
    is_known = isinstance(decision, Known)
    name = decision.identity if isinstance(decision, Known) else "unknown"
    crops = joined(_crop(path, number, crop) for number, crop in enumerate(record.crops))
    nearest = joined(candidate_html(each, decision.threshold) for each in record.nearest)
    body = filled(
        "why.html",
        name=name,
        kind="known" if is_known else "unknown",
        camera=", ".join((record.camera, *record.zones)),
        at=clock_time(record.captured_utc_s),
        similarity=number_text(decision.similarity),
        threshold=number_text(decision.threshold),
        verdict=_verdict(record),
        source=record.threshold_source,
        margin=_margin(record),
        used=str(decision.crops),
        gallery=str(record.gallery_version),
        model=record.model_id,
        crops=crops or filled("no_crops.html"),
        nearest=nearest or filled("nobody.html"),
        enrol=Markup() if is_past else _enrol_link(frame, record),
        denial=_was_not(record) if is_past else _denial(frame, record, taken),
        trouble=filled("mistake.html", words=trouble) if trouble else Markup(),
    )
    return frame.html(f"why {name}", body)


def kept_html(frame: PageFrame, hits: Mapping[str, HitRecord], oldest: str | None) -> str:
    """Hits that are kept on disk, by stem, newest first; `oldest`: before which there are more."""
    body = filled(
        "kept.html",
        hits=joined(_kept_hit(stem, record) for stem, record in hits.items())
        or filled("no_kept.html"),
        older=filled("kept_older.html", stem=oldest) if oldest else Markup(),
    )
    return frame.html("earlier hits", body)


def _kept_hit(stem: str, record: HitRecord) -> Markup:
    decision, position = record.decision, record.shown_crop
    is_known = isinstance(decision, Known)
    measured = f"{number_text(decision.similarity)} of {number_text(decision.threshold)} needed"
    return filled(
        "kept_hit.html",
        stem=stem,
        picture=filled("no_crop.html")
        if position is None
        else filled("kept_picture.html", stem=stem, position=str(position)),
        kind="known" if is_known else "unknown",
        name=f"{'not ' * record.is_taken_back}{decision.identity}"
        if isinstance(decision, Known)
        else "unknown",
        measured="nobody enrolled" if decision.similarity is None else measured,
        where=", ".join((record.camera, *record.zones)),
        at=clock_time(record.captured_utc_s),
    )


def trouble_html(frame: PageFrame, words: str) -> str:
    """What went wrong, in words."""
    return frame.html("not done", filled("trouble.html", words=words))


def refusal_html(frame: PageFrame, words: str) -> str:
    """Why there is nothing to see, and the way back."""
    return frame.html("not here", filled("refusal.html", words=words[0].upper() + words[1:]))


def candidate_html(candidate: Candidate, threshold: float) -> Markup:
    """A person enrolled, and how alike they are against the threshold."""
    is_enough = candidate.similarity >= threshold
    return filled(
        "candidate.html",
        name=candidate.identity,
        similarity=number_text(candidate.similarity),
        level=_percent(candidate.similarity),
        threshold=_percent(threshold),
        verdict="at or above the threshold" if is_enough else "below the threshold",
    )


def _enrol_link(frame: PageFrame, record: HitRecord) -> Markup:
    if not (frame.may("operator") and any(crop.jpeg for crop in record.crops)):
        return Markup()
    return filled("enrol_link.html", camera=record.camera, track=str(record.track_id))


def _denial(frame: PageFrame, record: HitRecord, taken: Sequence[TakenBack]) -> Markup:
    """What operators have said of its names; or how to say it of this one."""
    said = joined(_taken_back(one) for one in taken)
    name = record.published_name
    if name is None or name in {one.name for one in taken}:
        return said
    number = str(record.number)
    form = frame.form("deny.html", role="operator", name=name.identity, number=number)
    return joined((said, form))


def _was_not(record: HitRecord) -> Markup:
    name = record.published_name
    return filled("was_not.html", name=name.identity) if name and record.is_taken_back else Markup()


def _taken_back(taken: TakenBack) -> Markup:
    return filled(
        "taken_back.html",
        name=taken.name.identity,
        corrections=taken.corrections_text,
        doctor=taken.doctor,
    )


def _tile(frame: PageFrame, camera: str) -> Markup:
    areas = filled("areas_link.html", camera=camera) if frame.may("admin") else Markup()
    return filled("tile.html", camera=camera, areas=areas)


def _crop(path: str, position: int, crop: HitCrop) -> Markup:
    nearest = f"{crop.nearest.identity} {crop.nearest.similarity:.3f}" if crop.nearest else "nobody"
    picture = (
        filled("crop_picture.html", path=path, position=str(position))
        if crop.is_kept
        else filled("crop_gone.html")
    )
    return filled(
        "crop.html",
        picture=picture,
        quality=f"{crop.quality:.2f}",
        nearest=nearest,
        shown="shown with the hit" if crop.is_shown else "",
    )


def _verdict(record: HitRecord) -> str:
    decision = record.decision
    if isinstance(decision, Known):
        return "The similarity is at or above the threshold, and nobody else is nearly as alike."
    if decision.similarity is None:
        return "Nobody is enrolled."
    return "The most alike person enrolled is below the threshold, so nobody is named."


def _margin(record: HitRecord) -> str:
    decision, least = record.decision, number_text(record.min_margin)
    if not isinstance(decision, Known):
        return f"not asked of unknown people; a name needs {least}"
    if decision.margin is None:
        return "none, as nobody else is enrolled"
    return f"{number_text(decision.margin)} over the next person; at least {least} is needed"


def _percent(similarity: float) -> str:
    return f"{100 * min(1.0, max(0.0, similarity)):.1f}"
