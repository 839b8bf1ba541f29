"""The thresholds that an exported model begins with; `edge-reid calibrate` measures better ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge_reid.core.errors import TrainingError
from edge_reid.core.manifest import EmbeddingManifest, load_embedding_manifest
from edge_reid.matching.threshold import accepted_share
from trainer.data.held_out_photos import HELD_OUT_PHOTOS
from trainer.files.progress_bars import waiting
from trainer.recipe.recipe import Recipe
from trainer.scoring.crop_embeddings import CropEmbeddings
from trainer.scoring.evaluate import Report, Split, embed_with_file
from trainer.thresholds.borrowed_tail import moved_alike, with_tail
from trainer.thresholds.missed_people import (
    ENROLLED,
    TARGET_FPIR,
    ComparedModel,
    MissedPeople,
    compare_missed,
    supports_galleries,
)
from trainer.thresholds.similarities import Decisions, decisions, photo_decisions
from trainer.thresholds.threshold_table import Embedded, Measured, calibrate, table

_BETTER = "edge-reid calibrate, with people it was not trained on, measures its own"


def with_thresholds(
    manifest: EmbeddingManifest, held_out: Sequence[Report], recipe: Recipe
) -> tuple[EmbeddingManifest, str]:
    """The manifest with a threshold table, and in words where that comes from.

    It is measured where the people held out are enough: those who show the shares that galleries of
    10 and of 100 need, or rarer ones than the shipped table does. A fine-tune of the shipped
    network goes on from there as that one's table does (`with_tail`): 12 people end at 10 %, and
    what follows along the steepest slope names nobody (0.97 for 60 templates). Where nobody was
    held out it borrows that table whole, which comes far nearer than people it was trained on:
    after tuning on 6 of them, 1 % of impostors reached 0.53 and 0.65 on two data sets; the shipped
    table says 0.57, the people trained on said 0.18. Any other network keeps what was measured,
    and gets none, and is refused by the device, where nothing was.

    Args:
        manifest: of the exported file.
        held_out: the file's scores on people that it was not trained on.
        recipe: of its run.
    """
    if not held_out:
        return _borrowed(manifest, recipe, "nobody was held out")
    parts = [Embedded.of(report) for report in held_out]
    try:
        with waiting("measuring thresholds"):
            measured = calibrate(parts)
    except TrainingError as error:
        return _borrowed(manifest, recipe, str(error))
    said = f"measured on {measured.people} people held out"
    start = recipe.shipped_start
    if start is None or _reaches_far_enough(measured, start):
        return measured.written_into(manifest), said
    return _continued(manifest, measured, start)


def _continued(
    manifest: EmbeddingManifest, measured: Measured, start: Path
) -> tuple[EmbeddingManifest, str]:
    shipped = load_embedding_manifest(start)
    own = table(measured.impostor)
    impostor = with_tail(own, shipped.impostor_quantiles)
    several = moved_alike(
        shipped.impostor_quantiles_by_templates, shipped.impostor_quantiles, impostor
    )
    rarer = f"rarer ones those of {shipped.name}, which it started from, moved to meet them"
    update = {
        "impostor_quantiles": impostor,
        "impostor_quantiles_by_templates": several,
        "genuine_quantiles": table(measured.genuine) or shipped.genuine_quantiles,
        "source": f"{manifest.source}; thresholds of {measured.people} people held out, {rarer}",
    }
    return manifest.model_copy(update=update), _too_few(measured, rarer)


def _too_few(measured: Measured, rarer: str) -> str:
    rarest = table(measured.impostor)[-1][0]
    needs = (f"{100 * accepted_share(TARGET_FPIR, size):.2g} % for {size}" for size in ENROLLED)
    return (
        f"measured on {measured.people} people held out, who show how alike impostors look down to "
        f"{100 * rarest:g} % of comparisons, where people enrolled need {', '.join(needs)}; "
        f"{rarer}; {_BETTER}"
    )


def missed_beside_start(
    manifest: EmbeddingManifest, reports: Sequence[Report], recipe: Recipe
) -> tuple[MissedPeople, ...]:
    """People missed by a device with the shipped model, and with a fine-tune of it.

    Empty where nobody can be looked at, or the network did not start from that one.

    Args:
        manifest: of the exported file, with its thresholds.
        reports: the file's scores on people held out, or on photos held out.
        recipe: of its run.
    """
    start = recipe.shipped_start
    if start is None or not reports or not manifest.impostor_quantiles:
        return ()
    quantiles = load_embedding_manifest(start).impostor_quantiles
    before = [
        _decided(report.split, embed_with_file(start, report.split.data.paths))
        for report in reports
    ]
    after = [_decided(report.split, report.crops) for report in reports]
    with waiting("comparing people missed"):
        return compare_missed(
            ComparedModel(quantiles, before), ComparedModel(manifest.impostor_quantiles, after)
        )


def _decided(split: Split, crops: CropEmbeddings) -> Decisions:
    """All comparisons of a data set; of people trained on, only those with photos held out."""
    if split.name != HELD_OUT_PHOTOS:
        return decisions(split.data, crops)
    return photo_decisions(
        split.people(crops, split.query),
        split.people(crops, split.gallery),
        cross_camera=split.data.has_cameras,
    )


def _reaches_far_enough(measured: Measured, start: Path) -> bool:
    """Whether the table measured is one to decide by, rather than the shipped one."""
    own = table(measured.impostor)
    shipped = load_embedding_manifest(start).impostor_quantiles
    return supports_galleries(own) or own[-1][0] <= shipped[-1][0]


def _borrowed(
    manifest: EmbeddingManifest, recipe: Recipe, reason: str
) -> tuple[EmbeddingManifest, str]:
    if recipe.shipped_start is None:
        return manifest, f"none, the device will refuse this model: {reason}; {_BETTER}"
    shipped = load_embedding_manifest(recipe.shipped_start)
    borrowed = {
        "impostor_quantiles": shipped.impostor_quantiles,
        "impostor_quantiles_by_templates": shipped.impostor_quantiles_by_templates,
        "genuine_quantiles": shipped.genuine_quantiles,
        "source": f"{manifest.source}; thresholds of {shipped.name}, which it started from",
    }
    said = f"those of {shipped.name}, which it started from ({reason}); {_BETTER}"
    return manifest.model_copy(update=borrowed), said
