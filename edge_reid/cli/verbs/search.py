"""`edge-reid search`: where somebody was in recorded video."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_reid.cli.options import (
    BoxOption,
    DetectorOption,
    JsonArrayOption,
    LargestOption,
    ModelOption,
    TargetFpirOption,
)

if TYPE_CHECKING:
    from edge_reid.archive.archive_search import ArchiveMatch


def search(
    photos: Annotated[
        list[Path],
        typer.Argument(
            metavar="PHOTO...", help="Of one person: crops or whole scenes, or folders of them."
        ),
    ],
    archive: Annotated[
        Path, typer.Option("--archive", metavar="ARCHIVE", help="A folder, of `edge-reid index`.")
    ],
    top: Annotated[int, typer.Option(min=1, help="Tracks to show.")] = 20,
    camera: Annotated[str | None, typer.Option(help="Only this camera. [default: all]")] = None,
    target_fpir: TargetFpirOption = None,
    as_json: JsonArrayOption = False,
    box: BoxOption = None,
    largest: LargestOption = False,
    model: ModelOption = None,
    detector: DetectorOption = None,
) -> None:
    """Find somebody in an archive of recorded video. Ranked, where and when."""
    from edge_reid.archive.archive_search import nearest_tracks
    from edge_reid.archive.track_archive import TrackArchive
    from edge_reid.cli.photo_files import photo_files
    from edge_reid.cli.photo_pick import parse_pick
    from edge_reid.core.config import DecideSettings
    from edge_reid.core.errors import PhotoError
    from edge_reid.enrolment.photo_embedding import PhotoEmbedder, load_photo
    from edge_reid.matching.fusion import mean_vector
    from edge_reid.matching.threshold import threshold_for

    opened = TrackArchive.open(archive)
    files = photo_files(photos).photos
    pick = parse_pick(box, files, largest=largest)
    embedder = PhotoEmbedder(model, detector)
    embeddings = [embedder.embed(load_photo(file), pick).embedding for file in files]
    vector = mean_vector(embeddings, opened.models.model_id)
    if vector is None:
        raise PhotoError("expected photos of one person, got some that cancel each other out")
    tracks, vectors = opened.read(camera)
    found = nearest_tracks(vector, tracks, vectors, top=top)
    fpir = DecideSettings().target_fpir if target_fpir is None else target_fpir
    threshold = threshold_for(embedder.manifest.impostor_quantiles, fpir, max(1, len(tracks)))
    if as_json:
        _print_json(found, threshold)
    else:
        _print(found, threshold, len(tracks))


def _print_json(found: Sequence[ArchiveMatch], threshold: float) -> None:
    from dataclasses import asdict

    from edge_reid.cli.output import print_json

    print_json(
        [
            {
                "similarity": round(match.similarity, 4),
                "threshold": threshold,
                **asdict(match.track),
            }
            for match in found
        ]
    )


def _print(found: Sequence[ArchiveMatch], threshold: float, tracks: int) -> None:
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
        for rank, match in enumerate(found, 1)
    ]
    titles = ("rank", "similarity", "over threshold", "camera", "first seen (UTC)", "last seen")
    print_table((*titles, "video", "box"), rows)
    typer.echo(f"of {tracks} tracks; below the threshold of {threshold:.3f} it may be anybody")
