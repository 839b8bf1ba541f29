"""What `edge-reid calibrate` does not do unless it is forced to."""

from __future__ import annotations

from pathlib import Path

from edge_reid.core.errors import TrainingError
from edge_reid.core.manifest import EmbeddingManifest
from trainer.scoring.evaluate import Split
from trainer.thresholds.missed_people import supports_galleries
from trainer.thresholds.picture_sketch import PictureSketch
from trainer.thresholds.threshold_table import Measured, table


def refuse_trained_on(model: Path, manifest: EmbeddingManifest, split: Split) -> None:
    """Raise TrainingError if the model was trained on pictures of a data set.

    People it has learnt look less alike to it than others will, so a device would take impostors
    for somebody far more often than promised.
    """
    trained = PictureSketch.from_text(manifest.training_pictures)
    if found := trained.recognised(split.data.paths):
        raise TrainingError(
            f"calibrate {model}: expected people that it was not trained on, got at least "
            f"{len(found)} of the {len(split.data)} pictures of {split.name} among its training "
            f"pictures, the first is {found[0].name}; give data of other people, or --force"
        )


def refuse_worse_table(model: Path, manifest: EmbeddingManifest, measured: Measured) -> None:
    """Raise TrainingError if the manifest's table rests on more than the one measured.

    That is on more people; or, where nobody noted on how many, it reaches shares of comparisons
    that galleries need and the people measured do not show.
    """
    there, own = manifest.impostor_quantiles, table(measured.impostor)
    noted = manifest.calibration
    if noted is not None and noted.people > measured.people:
        rests = f"{noted.people} people ({', '.join(noted.data)})"
    elif there and there[-1][0] < own[-1][0] and not supports_galleries(own):
        rests = f"comparisons down to {100 * there[-1][0]:g} %"
    else:
        return
    raise TrainingError(
        f"calibrate {model}: expected data that show more than its present thresholds, which rest "
        f"on {rests}, got {measured.people} people, who show {100 * own[-1][0]:g} % of "
        "comparisons at the least: a device would name fewer; nothing is written: give data of "
        "more people, or --force"
    )
