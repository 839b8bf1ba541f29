"""Other ways to compare a track with a person: do they miss fewer?

    PYTHONPATH=tests python tests/bench/open_set_ways.py DATA… --model MODEL --cohort PEOPLE

Tried beside the device's way, on the same people, templates and probes as `open_set.py`:
similarities normalised by a cohort, templates of a person fused, crops weighted more or less by
their quality. A way "by person" takes its thresholds from comparisons with people of so many
templates, as the fused ones do; the device without tables of people counts templates, as if each
were another person's, and is what the others are compared with. With tables it is "larger".
PEOPLE is a data set of training: one track of each makes the cohort.

Printed is each way's FNIR less the device's where both meet the rate, with a 95 % interval of a
bootstrap over people; and what both do with a threshold measured on the other sets, in the same
way. Rows "mean" are over all sets that a case was tried with.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from support.open_set_trials import (
    DEVICE,
    Comparison,
    DoubleArray,
    Draws,
    Enrolments,
    Fusion,
    Outcome,
    Reweighing,
    Scored,
    enrolments,
    scored,
    tried,
)
from support.score_norm import CohortNorm
from support.unseen_sets import (
    SEED,
    SHOTS,
    Case,
    UnseenSet,
    cases,
    cohort_of,
    comparisons,
    galleries,
    unseen_set,
)

from edge_reid.core.types import Vectors
from edge_reid.matching.threshold import Quantiles, threshold_for
from trainer.scoring.openset import FPIRS
from trainer.thresholds.similarities import GRID

NEAREST = (20, 50, 100, 200, 400)
FUSIONS: tuple[Fusion, ...] = ("mean", "weighted mean", "nearest and mean", "larger")
EXPONENTS = (0.0, 0.5, 2.0, 4.0)
_COMMONEST, _RAREST = 0.02, 2e-4
"""Shares of comparisons that a table of thresholds begins and ends at; those of the shipped models
end there too."""
_KEPT = 0.1
"""Of the comparisons: in no set are so many beyond what `_COMMONEST` are beyond in all."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """One case of one set: which galleries are tried, and which in replicates of the bootstrap."""

    unseen: UnseenSet
    case: Case
    enrolled: Enrolments
    draws: Draws
    redrawn: tuple[Draws, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What a way of comparing did with a plan.

    Attributes:
        redrawn: (R,) FNIR at each of `FPIRS`, of the replicates.
        thresholds: at each of `FPIRS`, from the other sets.
    """

    outcome: Outcome
    redrawn: tuple[DoubleArray, ...]
    thresholds: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Tail:
    """The largest similarities of different people, of so many in all."""

    similarities: Vectors
    count: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="+", help="labelled sets of unseen cameras")
    parser.add_argument("--model", type=Path, required=True, help=".tflite file")
    parser.add_argument("--cohort", type=Path, required=True, help="people of training")
    parser.add_argument("--only", nargs="*", help="these ways, by name")
    parser.add_argument("--replicates", type=int, default=100, help="0: no intervals")
    options = parser.parse_args()
    sets = [unseen_set(options.model, data) for data in options.data]
    plans = [plan for unseen in sets for plan in plans_of(unseen, options.replicates)]
    table = Table(title=f"{options.model.stem}, cohort {options.cohort}", title_justify="left")
    columns = ("way", "set", "enrolled", "templates", "FPIR", "FNIR less the device's", "95 %")
    for name in (*columns, "table of other sets: FPIR met", "FNIR", "the device's: FPIR", "FNIR"):
        table.add_column(name, justify="right")
    base = results(DEVICE, plans, sets)
    cohort = cohort_of(options.model, options.cohort)
    for way in [way for way in ways(cohort) if not options.only or way.name in options.only]:
        pairs = list(zip(plans, base, results(way, plans, sets), strict=True))
        for plan, mine, other in pairs:
            case = (way.name, plan.unseen.name, str(plan.case.enrolled), str(plan.case.shots))
            for row in compared(other, mine):
                table.add_row(*case, *row)
        for row in means(pairs):
            table.add_row(way.name, "mean", *row)
    Console().print(table)


def plans_of(unseen: UnseenSet, replicates: int) -> Iterator[Plan]:
    """What is tried with a set."""
    for case, enrolled in cases(unseen):
        numbers = range(replicates)
        redrawn = tuple(galleries(unseen, enrolled, case, number) for number in numbers)
        yield Plan(unseen, case, enrolled, galleries(unseen, enrolled, case, None), redrawn)


def ways(cohort: Vectors) -> list[Comparison]:
    """Ways of comparing that are tried beside the device's."""
    sides = (("Z", "template"), ("T", "probe"), ("S", "both"))
    normed = [Comparison(f"{name}-norm", CohortNorm(cohort, side)) for name, side in sides]
    adaptive = [Comparison(f"AS-norm {k}", CohortNorm(cohort, "both", k)) for k in NEAREST]
    fused = [Comparison(fusion, fusion=fusion, per_person=True) for fusion in FUSIONS]
    counted = [Comparison("nearest, by person", per_person=True)]
    both = [
        Comparison(
            f"AS-norm {k}, weighted mean",
            CohortNorm(cohort, "both", k),
            "weighted mean",
            per_person=True,
        )
        for k in NEAREST
    ]
    weighed = [Comparison(f"quality^{power:g}", exponent=power) for power in EXPONENTS]
    return [*normed, *adaptive, *counted, *fused, *both, *weighed]


def results(way: Comparison, plans: Sequence[Plan], sets: Sequence[UnseenSet]) -> list[Result]:
    """Try a way with every plan."""
    made: dict[tuple[str, int], Scored] = {}
    for shots in SHOTS:
        for unseen in sets:
            enrolled = enrolments(unseen.people, shots, SEED)
            made[unseen.name, shots] = scored(unseen.people, enrolled, way)
    tails = {key: impostor_tail(one) for key, one in made.items()}
    return [
        _result(plan, made[plan.unseen.name, plan.case.shots], _thresholds(way, plan, tails))
        for plan in plans
    ]


def _thresholds(
    way: Comparison, plan: Plan, tails: dict[tuple[str, int], Tail]
) -> tuple[float, ...]:
    """At each of `FPIRS`, from the sets that are not the plan's."""
    shots = plan.case.shots if way.per_person else 1
    others = [one for (name, n), one in tails.items() if n == shots and name != plan.unseen.name]
    quantiles, count = table_of(others), comparisons(plan.case, plan.enrolled, way)
    return tuple(threshold_for(quantiles, fpir, count) for fpir in FPIRS)


def _result(plan: Plan, made: Scored, thresholds: tuple[float, ...]) -> Result:
    outcome = tried(made, plan.draws)
    redrawn = list(_replicates(plan, made, outcome))
    fnirs = tuple(np.array([fnir_at(found, fpir) for found in redrawn]) for fpir in FPIRS)
    return Result(outcome, fnirs, thresholds)


def _replicates(plan: Plan, made: Scored, outcome: Outcome) -> Iterator[Outcome]:
    if plan.case.enrolled == 1:
        again = Reweighing(outcome, sum(plan.unseen.sizes))
        yield from (again(draws.copies) for draws in plan.redrawn)
    else:
        yield from (tried(made, draws) for draws in plan.redrawn)


def compared(other: Result, base: Result) -> Iterator[tuple[str, ...]]:
    """Columns of a way beside the device's, for each of `FPIRS`."""
    for number, fpir in enumerate(FPIRS):
        apart = fnir_at(other.outcome, fpir) - fnir_at(base.outcome, fpir)
        yield (
            f"{100 * fpir:g} %",
            f"{100 * apart:+.1f}",
            interval(other.redrawn[number] - base.redrawn[number]),
            *at_threshold(other, number),
            *at_threshold(base, number),
        )


def means(pairs: Sequence[tuple[Plan, Result, Result]]) -> Iterator[tuple[str, ...]]:
    """Columns of the cases that were tried with several sets: each set weighs the same."""
    for case in dict.fromkeys(plan.case for plan, _, _ in pairs):
        of_case = [(mine, other) for plan, mine, other in pairs if plan.case == case]
        for number, fpir in enumerate(FPIRS if len(of_case) > 1 else ()):
            apart = [fnir_at(o.outcome, fpir) - fnir_at(m.outcome, fpir) for m, o in of_case]
            redrawn = np.mean([o.redrawn[number] - m.redrawn[number] for m, o in of_case], axis=0)
            yield (
                str(case.enrolled),
                str(case.shots),
                f"{100 * fpir:g} %",
                f"{100 * np.mean(apart):+.1f}",
                interval(redrawn),
                *mean_at_thresholds([other for _, other in of_case], number),
                *mean_at_thresholds([mine for mine, _ in of_case], number),
            )


def mean_at_thresholds(found: Sequence[Result], number: int) -> tuple[str, str]:
    """The least and the largest FPIR met at thresholds from other sets, and the mean FNIR."""
    met = [100 * one.outcome.fpir(one.thresholds[number]) for one in found]
    missed = np.mean([one.outcome.fnir(one.thresholds[number]) for one in found])
    return f"{min(met):.2f}–{max(met):.2f} %", f"{100 * missed:.1f} %"


def interval(differences: DoubleArray) -> str:
    """The middle 95 % of replicates."""
    if not len(differences):
        return "–"
    low, high = np.quantile(differences, (0.025, 0.975))
    return f"{100 * low:+.1f} … {100 * high:+.1f}"


def at_threshold(found: Result, number: int) -> tuple[str, str]:
    """FPIR met and FNIR at a threshold from other sets."""
    threshold = found.thresholds[number]
    fpir, fnir = found.outcome.fpir(threshold), found.outcome.fnir(threshold)
    return f"{100 * fpir:.2f} %", f"{100 * fnir:.1f} %"


def fnir_at(outcome: Outcome, fpir: float) -> float:
    """FNIR at the rate measured."""
    return outcome.fnir(outcome.threshold_at(fpir))


def table_of(tails: Sequence[Tail]) -> Quantiles:
    """Impostor quantiles of sets that weigh the same each."""
    values = np.concatenate([tail.similarities for tail in tails])
    weights = np.concatenate(
        [np.full(len(tail.similarities), 1 / tail.count / len(tails)) for tail in tails]
    )
    order = np.argsort(-values, kind="stable")
    reached = np.cumsum(weights[order])
    shares = [share for share in GRID if _RAREST <= share <= _COMMONEST]
    return tuple((p, float(values[order][np.searchsorted(reached, p)])) for p in shares)


def impostor_tail(made: Scored) -> Tail:
    """The most alike of the comparisons of different people."""
    different = made.track_labels[:, None] != made.enrolments.labels
    values = made.similarity[different]
    kept = math.ceil(_KEPT * len(values))
    return Tail(np.partition(values, -kept)[-kept:], len(values))


if __name__ == "__main__":
    main()
