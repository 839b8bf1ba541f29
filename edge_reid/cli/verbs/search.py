"""`edge-reid search`: where somebody was in recorded video."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_reid.cli.options import (
    BoxOption,
    DetectorOption,
    JsonArrayOption,
    LargestOption,
    model_option,
)

if TYPE_CHECKING:
    from edge_reid.archive.archive_findings import ArchiveFindings


def search(
    photos: Annotated[
        list[Path],
        typer.Argument(
            metavar="PHOTO", help="Of one person: crops or whole scenes, or folders of them."
        ),
    ],
    archive: Annotated[
        str,
        typer.Option(
            "--archive",
            metavar="ARCHIVE",
            help="Of `edge-reid index`: a folder, or postgresql://user@host/database.",
        ),
    ],
    top: Annotated[int, typer.Option(min=1, help="Tracks to show.")] = 20,
    camera: Annotated[str | None, typer.Option(help="Only this camera. [default: all]")] = None,
    target_fpir: Annotated[
        float | None,
        typer.Option(
            help="Accepted share of searches in which somebody else is over the threshold. "
            "[default: 0.01]"
        ),
    ] = None,
    as_json: JsonArrayOption = False,
    box: BoxOption = None,
    largest: LargestOption = False,
    model: Annotated[Path | None, model_option("the archive's")] = None,
    detector: DetectorOption = None,
) -> None:
    """Find somebody in an archive of recorded video. Ranked, where and when."""
    from edge_reid.archive.archive_urls import open_archive
    from edge_reid.cli.boxes_picture import numbers_drawn
    from edge_reid.cli.option_names import parse_options
    from edge_reid.cli.photo_files import photos_of_one
    from edge_reid.cli.photo_pick import parse_pick
    from edge_reid.cli.verb_progress import stages
    from edge_reid.core.config.decide_settings import DecideSettings
    from edge_reid.core.errors import PhotoError
    from edge_reid.core.redact import redact
    from edge_reid.enrolment.photo_embedding import PhotoEmbedder, load_photo
    from edge_reid.matching.fusion import mean_vector
    from edge_reid.matching.threshold import threshold_for

    decide = parse_options(DecideSettings, {"target_fpir": target_fpir})
    opened, name = open_archive(archive), redact(archive)
    files = photos_of_one(photos)
    pick = parse_pick(box, files, largest=largest)
    embedder = PhotoEmbedder(model or opened.models.shipped_embedding(name), detector)
    opened.models.check_search(embedder.manifest.model_id, name)
    with numbers_drawn(are_wanted=not as_json):  # a program looks at no picture
        embeddings = [embedder.embed(load_photo(file), pick).embedding for file in files]
    vector = mean_vector(embeddings, opened.models.model_id)
    if vector is None:
        raise PhotoError("expected photos of one person, got some that cancel each other out")
    with stages() as progress:
        found = opened.find(vector, top=top, camera=camera, progress=progress)
    threshold = threshold_for(
        embedder.manifest.impostor_quantiles, decide.target_fpir, max(1, found.tracks)
    )
    if advice := opened.advice(found):
        typer.echo(advice, err=True)
    if as_json:
        _print_json(found, threshold)
    else:
        _print(found, threshold)


def _print_json(found: ArchiveFindings, threshold: float) -> None:
    from dataclasses import asdict

    from edge_reid.cli.output import print_json

    print_json(
        [
            {
                "similarity": round(match.similarity, 4),
                "threshold": threshold,
                **asdict(match.track),
            }
            for match in found.matches
        ]
    )


def _print(found: ArchiveFindings, threshold: float) -> None:
    from edge_reid.cli.output import print_table

    rows = [
        (
            str(rank),
            f"{match.similarity:.3f}",
            f"{match.similarity - threshold:+.3f}",
            match.track.camera,
            match.track.first_seen[:19].replace("T", " "),
            match.track.last_seen[11:19],
            match.track.video,
            ",".join(f"{edge:.0f}" for edge in match.track.box),
        )
        for rank, match in enumerate(found.matches, 1)
    ]
    titles = ("rank", "similarity", "over threshold", "camera", "first seen (UTC)", "last seen")
    print_table((*titles, "video", "box"), rows)
    how = "" if found.is_exact else ", by an index, which may miss one of fifty"
    typer.echo(
        f"of {found.tracks} tracks{how}; below the threshold of {threshold:.3f} it may be anybody"
    )
