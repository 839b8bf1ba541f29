"""`edge-reid probe`: who is in this photo?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_reid.cli.gallery_options import (
    DEFAULT_GALLERY,
    BoxOption,
    DetectorOption,
    GalleryOption,
    LargestOption,
    ModelOption,
)

if TYPE_CHECKING:
    from rich.console import JustifyMethod

    from edge_reid.core.config import DecideSettings
    from edge_reid.core.manifest import EmbeddingManifest
    from edge_reid.core.types import Candidate, Decision, Embedding
    from edge_reid.vision.photo import Photo
    from edge_reid.vision.subject import PhotoSubject


def probe(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PHOTO", help="Of one person: crops or whole scenes, or folders of them."
        ),
    ],
    gallery: GalleryOption = DEFAULT_GALLERY,
    top: Annotated[int, typer.Option(min=1, help="Candidates to show.")] = 5,
    target_fpir: Annotated[
        float | None,
        typer.Option(help="Accepted share of strangers taken for somebody. [default: 0.01]"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    box: BoxOption = None,
    largest: LargestOption = False,
    model: ModelOption = None,
    detector: DetectorOption = None,
) -> None:
    """Who is this? Ranked candidates, the threshold and the decision.

    Several photos are taken together, as the crops of one track are.
    """
    from edge_reid.cli.photo_files import photo_files
    from edge_reid.core.config import DecideSettings, parse_section
    from edge_reid.enrolment.photo_embedding import (
        PhotoEmbedder,
        check_pick,
        parse_pick,
        subject_text,
    )
    from edge_reid.gallery.store import GalleryStore
    from edge_reid.matching.decide import decide
    from edge_reid.matching.fusion import mean_vector
    from edge_reid.matching.index import Index
    from edge_reid.matching.threshold import is_measured, threshold_for

    pick = parse_pick(box, largest=largest)
    photos = photo_files(paths).photos
    check_pick(pick, photos)
    chosen = {} if target_fpir is None else {"target_fpir": target_fpir}
    settings = parse_section(DecideSettings, {"min_crops": 1, **chosen})
    studio = PhotoEmbedder(model, detector)
    with GalleryStore.open(gallery, model_id=studio.manifest.model_id) as store:
        index = Index(store.snapshot())
    subjects = [studio.subject_of(path, pick) for path in photos]
    embeddings = [studio.embedding(subject) for _, subject in subjects]
    asked = studio.manifest.impostor_quantiles, settings.target_fpir, len(index)
    threshold, measured = threshold_for(*asked), is_measured(*asked)
    decision = decide(embeddings, index, threshold=threshold, settings=settings)
    vector = mean_vector(embeddings, index.model_id)
    candidates = () if vector is None else index.search(vector, k=top)
    doubt = _doubt(embeddings, studio.manifest)
    if as_json:
        answer = {
            **(_photo_as_json(*subjects[0]) if len(subjects) == 1 else {}),
            "photos": [_photo_as_json(*each) for each in subjects],
            "one_person": doubt is None,
            "model_id": index.model_id,
            "gallery_version": index.version,
            "target_fpir": settings.target_fpir,
            "threshold_measured": measured,
            **_as_json(decision, candidates),
        }
        typer.echo(json.dumps(answer, ensure_ascii=False, indent=2))
        return
    for photo, subject in subjects:
        typer.echo(subject_text(photo, subject))
    _print_candidates(candidates, threshold)
    typer.echo(in_words(decision, settings))
    if doubt is not None:
        typer.echo(doubt)
    if not measured:
        typer.echo(
            "The threshold lies beyond what was measured for this model, so it errs towards "
            "unknown; edge-reid calibrate with data of more people measures further."
        )
    if len(subjects) < DecideSettings().min_crops:
        given = "A photo is one crop" if len(subjects) == 1 else f"{len(subjects)} photos are crops"
        typer.echo(f"{given}, enough here; the agent waits for {DecideSettings().min_crops}.")


def _doubt(embeddings: Sequence[Embedding], manifest: EmbeddingManifest) -> str | None:
    """What to say when the photos fall into two groups that one person's would not."""
    import numpy as np

    from edge_reid.matching.mixture import find_mixture

    if not manifest.genuine_quantiles:
        return None
    share, least = min(manifest.genuine_quantiles)
    found = find_mixture(np.stack([each.vector for each in embeddings]), least)
    if found is None:
        return None
    sizes = " and ".join(str(len(part)) for part in found.parts)
    return (
        f"The photos may show two people, so do not trust this: groups of {sizes} with a "
        f"similarity of {found.similarity:.2f}, where {1 - share:.0%} of the comparisons of one "
        f"person reach {least:.2f}."
    )


def _photo_as_json(photo: Photo, subject: PhotoSubject) -> dict[str, Any]:
    return {
        "photo": str(photo.path),
        "box": subject.box.to_array().tolist(),
        "quality": subject.quality,
    }


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


def _as_json(decision: Decision, candidates: Sequence[Candidate]) -> dict[str, Any]:
    from edge_reid.core.types import Known, Unknown

    return {
        "decision": type(decision).__name__.lower(),
        "identity": decision.identity if isinstance(decision, Known) else None,
        "similarity": candidates[0].similarity if candidates else None,
        "threshold": decision.threshold,
        "margin": None if isinstance(decision, Unknown) else decision.margin,
        "candidates": [
            {"identity": each.identity, "similarity": each.similarity} for each in candidates
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
