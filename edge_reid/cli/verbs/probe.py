"""`edge-reid probe`: who is in this photo?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_reid.cli.options import (
    DEFAULT_GALLERY,
    BoxOption,
    DetectorOption,
    GalleryModelOption,
    GalleryOption,
    JsonOption,
    LargestOption,
    TargetFpirOption,
)

if TYPE_CHECKING:
    from rich.console import JustifyMethod

    from edge_reid.core.config.decide_settings import DecideSettings
    from edge_reid.core.types import Candidate, Decision
    from edge_reid.enrolment.identification import Identification
    from edge_reid.enrolment.photo_embedding import EmbeddedPhoto


def probe(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PHOTO", help="Of one person: crops or whole scenes, or folders of them."
        ),
    ],
    gallery: GalleryOption = DEFAULT_GALLERY,
    top: Annotated[int, typer.Option(min=1, help="Candidates to show.")] = 5,
    target_fpir: TargetFpirOption = None,
    as_json: JsonOption = False,
    box: BoxOption = None,
    largest: LargestOption = False,
    model: GalleryModelOption = None,
    detector: DetectorOption = None,
) -> None:
    """Tell who is in a photo. Ranked candidates, the threshold and the decision.

    Several photos are taken together, as the crops of one track are.
    """
    from edge_reid.cli.boxes_picture import numbers_drawn
    from edge_reid.cli.option_names import parse_options
    from edge_reid.cli.photo_files import photos_of_one
    from edge_reid.cli.photo_pick import parse_pick
    from edge_reid.core.config.decide_settings import DecideSettings
    from edge_reid.enrolment.identification import identify
    from edge_reid.enrolment.photo_embedding import PhotoEmbedder
    from edge_reid.gallery.gallery_model import model_of_gallery
    from edge_reid.gallery.store import GalleryStore
    from edge_reid.matching.gallery_thresholds import GalleryThresholds
    from edge_reid.matching.index import Index

    photos = photos_of_one(paths)
    pick = parse_pick(box, photos, largest=largest)
    settings = parse_options(DecideSettings, {"target_fpir": target_fpir}, usual={"min_crops": 1})
    embedder = PhotoEmbedder(model or model_of_gallery(gallery), detector)
    with GalleryStore.open(gallery, model_id=embedder.manifest.model_id) as store:
        fuse = GalleryThresholds.of(embedder.manifest).fuse
        index = Index(store.snapshot(), fuse=fuse)
    with numbers_drawn(are_wanted=not as_json):  # a program looks at no picture
        found = identify(photos, embedder, index, pick=pick, settings=settings, top=top)
    if as_json:
        typer.echo(json.dumps(_as_json(found), ensure_ascii=False, indent=2))
    else:
        _print(found)


def _print(found: Identification) -> None:
    from edge_reid.cli.photo_pick import photo_line
    from edge_reid.enrolment.identification import FEW_CROPS
    from edge_reid.matching.threshold import BEYOND_MEASURED, BEYOND_MEASURED_REMEDY

    for photo in found.photos:
        typer.echo(photo_line(photo))
    _print_candidates(found.candidates, found.decision.threshold)
    typer.echo(in_words(found.decision, found.settings))
    if found.two_people is not None:
        typer.echo(found.two_people.message)
    if not found.threshold_is_measured:
        typer.echo(f"The threshold {BEYOND_MEASURED}; {BEYOND_MEASURED_REMEDY}.")
    photos = len(found.photos)
    if photos < FEW_CROPS:
        given = "A photo is one crop" if photos == 1 else f"{photos} photos are crops"
        typer.echo(f"{given}, enough here; the agent waits for {FEW_CROPS}.")


def in_words(decision: Decision, settings: DecideSettings) -> str:
    """The decision as a sentence."""
    from edge_reid.core.types import Candidate, Known, Uncertain, Unknown

    at = f"threshold {decision.threshold:.3f} for FPIR {settings.target_fpir:g}"
    match decision:
        case Known(identity, similarity, margin=None):
            return f"known: {identity}, similarity {similarity:.3f} ({at}, nobody else is enrolled)"
        case Known(identity, similarity, margin=margin):
            return f"known: {identity}, similarity {similarity:.3f} ({at}, margin {margin:.3f})"
        case Unknown(similarity=None):
            return "unknown: nobody is enrolled"
        case Unknown(similarity):
            return f"unknown: the best similarity, {similarity:.3f}, is below {at}"
        case Uncertain(Candidate(identity, similarity), margin=float(margin)):
            return (
                f"uncertain: {identity}, similarity {similarity:.3f} ({at}), but only {margin:.3f} "
                f"before the next, less than the margin of {settings.min_margin:g}"
            )
    return "uncertain"


def _as_json(found: Identification) -> dict[str, Any]:
    return {
        **(_photo_as_json(found.photos[0]) if len(found.photos) == 1 else {}),
        "photos": [_photo_as_json(photo) for photo in found.photos],
        "one_person": found.two_people is None,
        "model_id": found.model_id,
        "gallery_version": found.gallery_version,
        "target_fpir": found.settings.target_fpir,
        "threshold_measured": found.threshold_is_measured,
        **_decision_as_json(found.decision, found.candidates),
    }


def _photo_as_json(photo: EmbeddedPhoto) -> dict[str, Any]:
    return {
        "photo": str(photo.path),
        "box": photo.box.to_array().tolist(),
        "quality": photo.embedding.quality,
    }


def _decision_as_json(decision: Decision, candidates: Sequence[Candidate]) -> dict[str, Any]:
    from edge_reid.core.types import Known, Unknown

    return {
        "decision": type(decision).__name__.lower(),
        "identity": decision.identity if isinstance(decision, Known) else None,
        "similarity": candidates[0].similarity if candidates else None,
        "threshold": decision.threshold,
        "margin": None if isinstance(decision, Unknown) else decision.margin,
        "candidates": [
            {"identity": candidate.identity, "similarity": candidate.similarity}
            for candidate in candidates
        ],
    }


def _print_candidates(candidates: Sequence[Candidate], threshold: float) -> None:
    from rich.markup import escape
    from rich.table import Table

    from edge_reid.cli.output import print_whole

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("rank", "identity", "similarity", "over threshold"):
        justify: JustifyMethod = "left" if title == "identity" else "right"
        table.add_column(title, justify=justify, overflow="fold")
    for rank, each in enumerate(candidates, start=1):
        table.add_row(
            str(rank),
            escape(each.identity),
            f"{each.similarity:.3f}",
            f"{each.similarity - threshold:+.3f}",
            style=None if each.similarity >= threshold else "dim",
        )
    print_whole(table)
