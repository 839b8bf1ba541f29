"""Enrolled people missed: `PYTHONPATH=tests python tests/bench/open_set.py DATA… --models MODEL…`.

FNIR at FPIR 1 % and 0.1 % with 1, 10 and 100 people enrolled, 1 and 5 templates each. DATA are
labelled sets of cameras that the model never saw, as for `unseen_cameras.py`; the last rows are all
of them together, where people of other cameras are enrolled too. Probes are tracks, fused with the
device's own code. Thresholds are

* the device's: of the model's manifest, for so many people and templates. The FPIR that it really
  meets is printed;
* the measured ones: of these very impostors, so that FNIR tells of the ranking alone. No rate is
  refused: `pairs` says how many different pairs of people are taken for each other, and ten are
  few.

Where there are not so many people that 20 are left to be impostors, a row is left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from support.open_set_trials import DEVICE, DEVICE_FUSED, Outcome, scored, tried
from support.unseen_sets import UnseenSet, cases, galleries, together, unseen_set

from edge_reid.core.manifest import load_embedding_manifest
from edge_reid.matching.gallery_thresholds import GalleryThresholds
from trainer.scoring.openset import FPIRS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="+", help="labelled sets of unseen cameras")
    parser.add_argument("--models", type=Path, nargs="+", required=True, help=".tflite files")
    parser.add_argument(
        "--count-templates", action="store_true", help="as if no tables of people were measured"
    )
    options = parser.parse_args()
    for model in options.models:
        thresholds = GalleryThresholds.of(load_embedding_manifest(model))
        if options.count_templates:
            thresholds = GalleryThresholds(thresholds.single)
        sets = [unseen_set(model, data) for data in options.data]
        Console().print(device_table(model, [*sets, together(sets)], thresholds))


def device_table(model: Path, sets: Sequence[UnseenSet], thresholds: GalleryThresholds) -> Table:
    """FNIR as a device would have it, a row for each set, case and rate."""
    table = Table(title=model.stem, title_justify="left")
    columns = ("set", "people", "enrolled", "templates", "FPIR", "FPIR met", "FNIR", "threshold")
    for name in (*columns, "FNIR at the rate", "threshold at it", "impostor trials", "pairs"):
        table.add_column(name, justify="right")
    way = DEVICE_FUSED if thresholds.fuse else DEVICE
    for unseen in sets:
        for case, enrolled in cases(unseen):
            outcome = tried(
                scored(unseen.people, enrolled, way), galleries(unseen, enrolled, case, None)
            )
            start = (
                unseen.name,
                str(sum(unseen.sizes)),
                str(case.enrolled),
                f"{enrolled.shots:.1f}",
            )
            for fpir in FPIRS:
                templates_each = [round(enrolled.shots)] * case.enrolled
                promised = thresholds.threshold(fpir, templates_each)
                table.add_row(*start, *figures(outcome, fpir, promised))
    return table


def figures(outcome: Outcome, fpir: float, promised: float) -> tuple[str, ...]:
    """Columns of one rate: at the threshold promised, and at the one measured."""
    measured = outcome.threshold_at(fpir)
    return (
        f"{100 * fpir:g} %",
        f"{100 * outcome.fpir(promised):.2f} %",
        f"{100 * outcome.fnir(promised):.1f} %",
        f"{promised:.3f}",
        f"{100 * outcome.fnir(measured):.1f} %",
        f"{measured:.3f}",
        f"{len(outcome.impostor):,}",
        str(outcome.pairs_at(measured)),
    )


if __name__ == "__main__":
    main()
