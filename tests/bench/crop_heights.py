"""How small a crop may be: `python tests/bench/crop_heights.py DATA… --model MODEL`.

The queries of labelled sets are shrunk to each height (area averaging, as a camera further away
would see them) and looked up among the others at their own height, which is how people are
enrolled. Printed for each height: rank-1, mAP, and with ten people enrolled, one template each, at
the manifest's threshold for FPIR 1 %: how many genuine pairs reach it, and how many impostors a
comparison. Only pictures at least as high as the tallest height take part as queries.

    python tests/bench/crop_heights.py 3dpes/labels.csv pku_reid/labels.csv cuhk03_val
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from edge_reid.core.bundled_models import EMBEDDING, shipped_model
from edge_reid.core.types import Image
from edge_reid.matching.threshold import threshold_for
from edge_reid.vision.embed import Embedder
from trainer.data.decoded_crops import read_image
from trainer.scoring.crop_embeddings import CropEmbeddings
from trainer.scoring.evaluate import Split, read_split, score
from trainer.scoring.ranking_metrics import FloatArray
from trainer.scoring.verification import pair_similarities

HEIGHTS_PX = (128, 96, 80, 64, 56, 48, 40, 32, 24)
ENROLLED = 10
FPIR = 0.01


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, nargs="+", help="labelled sets of unseen cameras")
    parser.add_argument("--model", type=Path, default=shipped_model(EMBEDDING))
    parser.add_argument("--queries", type=int, default=300, help="of each set, at most")
    options = parser.parse_args()
    embedder, console = Embedder(options.model), Console()
    threshold = threshold_for(embedder.manifest.impostor_quantiles, FPIR, ENROLLED)
    for place in options.data:
        split = tall_queries(read_split(place), options.queries)
        whole = [read_image(path) for path in split.data.paths]
        rows = embedder.embed(list(track(whole, place.as_posix(), console=console)))
        table = Table(
            "crop height", "rank-1", "mAP", "genuine ≥ threshold", "impostors ≥ threshold"
        )
        table.add_row("as it is", *figures(split, rows, threshold))
        for height_px in track(HEIGHTS_PX, "shrunk", console=console):
            shrunk = rows.copy()
            queries = [shrunk_to(whole[index], height_px) for index in split.query]
            shrunk[split.query] = embedder.embed(queries)
            table.add_row(f"{height_px} px", *figures(split, shrunk, threshold))
        console.print(f"{place}: {len(split.query)} queries, threshold {threshold:.3f}")
        console.print(table)


def tall_queries(split: Split, most: int) -> Split:
    """Only queries that shrinking to every height makes smaller, evenly over the set."""
    tall = [i for i in split.query if read_image(split.data.paths[i]).shape[0] >= HEIGHTS_PX[0]]
    chosen = np.linspace(0, len(tall) - 1, min(most, len(tall))).astype(int)
    return replace(split, query=np.asarray(tall)[chosen])


def shrunk_to(image: Image, height_px: int) -> Image:
    """The crop as a camera further away sees it, (height_px, …, 3)."""
    width_px = max(1, round(image.shape[1] * height_px / image.shape[0]))
    shrunk = cv2.resize(image, (width_px, height_px), interpolation=cv2.INTER_AREA)
    return np.asarray(shrunk, np.uint8)


def figures(split: Split, rows: FloatArray, threshold: float) -> Sequence[str]:
    """What the table says of one height."""
    report = score(split, CropEmbeddings.of_equal_quality(rows))
    impostor, genuine = pair_similarities(
        report.query, report.gallery, cross_camera=split.data.has_cameras
    )
    return (
        f"{100 * report.ranking.rank(1):.1f}",
        f"{100 * report.ranking.mean_average_precision:.1f}",
        f"{100 * np.mean(genuine >= threshold):.1f} %",
        f"{100 * np.mean(impostor >= threshold):.3f} %",
    )


if __name__ == "__main__":
    main()
