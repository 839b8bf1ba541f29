"""The figures of a report: ranking, verification, similarities, agreement and training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from trainer.report.curves import Curve, TrainingCurves
from trainer.report.log_axis import plain_number, use_log_axis
from trainer.report.style import (
    GENUINE,
    IMPOSTOR,
    INK,
    MUTED,
    SERIES,
    Plot,
    finish,
    panels,
    wrapped,
)
from trainer.report.subjects import ReportSubject
from trainer.scoring.ranking_metrics import FloatArray
from trainer.scoring.verification import Roc, pair_similarities, roc
from trainer.thresholds.similarities import decision_similarities

_RANKS = 20
_BINS = np.linspace(-0.5, 1.0, 76).tolist()
_SHOWN_PAIRS = 3000
"""Of each kind in the scatter: more only make it blacker."""


def draw_cmc(subjects: Sequence[ReportSubject], folder: Path) -> Plot:
    """Share of queries whose person is among the first k."""

    def panel(index: int, axis: Axes) -> None:
        for subject, colour in zip(subjects, _colours(), strict=False):
            cmc = 100 * subject.reports[index].ranking.cmc[:_RANKS]
            ranks = np.arange(1, len(cmc) + 1)
            axis.plot(
                ranks, cmc, color=colour, label=wrapped(subject.name), marker="o", markersize=2.5
            )
        axis.set(title=_split_name(subjects, index), xlabel="rank k", ylabel="queries found / %")
        axis.set_xticks([1, 5, 10, 15, 20])
        axis.set_ylim(top=100.9)

    caption = (
        "How many queries find a right picture among the first k of the ranked gallery. A curve "
        "that starts high names people rightly at once; one that climbs late needs a person to "
        "look through the list."
    )
    figure = panels(len(subjects[0].reports), panel, key=len(subjects) > 1)
    return finish("cmc", "Cumulative match characteristic", caption, figure, folder)


def draw_roc_det(subjects: Sequence[ReportSubject], folder: Path) -> tuple[Plot, Plot]:
    """The verification curves: ROC and DET."""
    curves = [[_roc(subject, i) for i in range(len(subject.reports))] for subject in subjects]

    def roc_panel(index: int, axis: Axes) -> None:
        for subject, own, colour in zip(subjects, curves, _colours(), strict=False):
            axis.plot(
                100 * own[index].fpr,
                100 * own[index].tpr,
                color=colour,
                label=wrapped(subject.name),
            )
        use_log_axis(axis, "x", [100 * v for own in curves for v in own[index].fpr if v > 0])
        axis.set(
            title=_split_name(subjects, index),
            xlabel="false accept rate / %",
            ylabel="true accept rate / %",
            ylim=(0, 101),
        )

    logarithmic: list[bool] = []

    def det_panel(index: int, axis: Axes) -> None:
        shown = [_errors(own[index]) for own in curves]
        for subject, (accepted, missed), colour in zip(subjects, shown, _colours(), strict=False):
            axis.plot(accepted, missed, color=colour, label=wrapped(subject.name))
        accepts, rejects = (np.concatenate(errors) for errors in zip(*shown, strict=True))
        logarithmic.append(use_log_axis(axis, "x", accepts.tolist()))
        logarithmic.append(use_log_axis(axis, "y", rejects.tolist()))
        if not len(rejects):
            axis.text(0.5, 0.5, "no errors", ha="center", transform=axis.transAxes, color=MUTED)
        axis.set(
            title=_split_name(subjects, index),
            xlabel="false accept rate / %",
            ylabel="false reject rate / %",
        )

    count, key = len(subjects[0].reports), len(subjects) > 1
    roc_caption = (
        "Pairs of one query and one gallery picture: how many of the same person are accepted "
        "(up is better) when so many impostor pairs are accepted too. The left end rests on "
        "few pairs."
    )
    roc_figure = panels(count, roc_panel, key=key)
    det_figure = panels(count, det_panel, key=key)
    det_caption = (
        f"The same comparisons by their errors{', both on logarithmic axes' * all(logarithmic)}: "
        "down and to the left is better."
    )
    return (
        finish("roc", "ROC of verification", roc_caption, roc_figure, folder),
        finish("det", "DET: the two errors", det_caption, det_figure, folder),
    )


def _errors(of: Roc) -> tuple[FloatArray, FloatArray]:
    """False accepts and false rejects in per cent, (n,) each, where there are both."""
    missed = 1 - of.tpr
    both = (missed > 0) & (of.fpr > 0)
    return 100 * of.fpr[both], 100 * missed[both]


def _roc(subject: ReportSubject, index: int) -> Roc:
    report = subject.reports[index]
    cross_camera = report.split.data.has_cameras
    return roc(*pair_similarities(report.query, report.gallery, cross_camera=cross_camera), 300)


def draw_histograms(subjects: Sequence[ReportSubject], fpir: float, folder: Path) -> Plot:
    """Genuine and impostor similarities as the device compares, with its thresholds."""
    cells = list(product(range(len(subjects[0].reports)), subjects))
    logarithmic: list[bool] = []

    def panel(index: int, axis: Axes) -> None:
        split, subject = cells[index]
        report = subject.reports[split]
        impostor, genuine = decision_similarities(report.split.data, report.crops)
        heights: list[float] = []
        for similarities, colour, label in (
            (impostor, IMPOSTOR, "different people"),
            (genuine, GENUINE, "same person"),
        ):
            shares = np.full(len(similarities), 100 / max(len(similarities), 1))
            text = f"{label} ({len(similarities):,})"
            drawn, _, _ = axis.hist(
                np.clip(similarities, _BINS[0], _BINS[-1]),
                _BINS,
                weights=shares,
                histtype="stepfilled",
                facecolor=(*_rgb(colour), 0.28),
                edgecolor=colour,
                linewidth=1.3,
                label=text,
            )
            heights += np.asarray(drawn).tolist()
        logarithmic.append(use_log_axis(axis, "y", [float(h) for h in heights if h > 0]))
        top = axis.get_ylim()[1]
        axis.set_ylim(top=top * (6 if logarithmic[-1] else 1.4))
        _draw_thresholds(axis, subject, fpir)
        axis.set(
            title=panel_title(subjects, subject, split),
            xlabel="cosine similarity",
            ylabel="share of comparisons / %",
        )
        axis.legend(loc="upper left")

    figure = panels(len(cells), panel, columns=max(2, len(subjects)))
    caption = (
        "A comparison is of a track (the mean of up to five crops of a person under one camera) "
        "with one template, as on the device. Dashed: from where the device names somebody at "
        f"{100 * fpir:g} % accepted false alarms, with 10, 100 and 1000 templates enrolled (an "
        "asterisk: beyond what the comparisons show, on the cautious side). Red right of a line "
        "are false alarms, green left of it people who stay unknown."
        + " The vertical axis is logarithmic."
        * all(logarithmic)
    )
    return finish(
        "similarities", "Same person or not: what the device compares", caption, figure, folder
    )


def _draw_thresholds(axis: Axes, subject: ReportSubject, fpir: float) -> None:
    for number, threshold in enumerate(subject.thresholds(fpir)):
        axis.axvline(threshold.similarity, color=INK, linewidth=1, linestyle=(0, (4, 3)))
        mark = "" if threshold.measured else "*"
        axis.annotate(
            f"{threshold.templates}{mark}",
            (threshold.similarity, 0.995 - 0.075 * number),
            xycoords=("data", "axes fraction"),
            xytext=(3, 0),
            textcoords="offset points",
            va="top",
            fontsize=8,
            color=INK,
        )


def draw_agreement(subjects: Sequence[ReportSubject], folder: Path) -> Plot:
    """Similarities by one subject over those by another, for the same pairs of pictures."""
    others = subjects[1:]
    cells = list(product(range(len(subjects[0].reports)), others))
    rng = np.random.default_rng(0)

    def panel(index: int, axis: Axes) -> None:
        split, other = cells[index]
        first, second = subjects[0].reports[split], other.reports[split]
        pairs = [
            pair_similarities(r.query, r.gallery, cross_camera=r.split.data.has_cameras)
            for r in (first, second)
        ]
        for kind, colour, label in ((0, IMPOSTOR, "different people"), (1, GENUINE, "same person")):
            x, y = pairs[0][kind], pairs[1][kind]
            shown = rng.permutation(len(x))[:_SHOWN_PAIRS]
            axis.scatter(
                x[shown], y[shown], s=3, color=colour, alpha=0.4, linewidths=0, rasterized=True
            )
            axis.scatter([], [], s=20, color=colour, label=label)
        both = np.concatenate([pairs[0][0], pairs[0][1]]), np.concatenate([*pairs[1]])
        low, high = min(map(float, map(np.min, both))), 1.0
        axis.plot([low, high], [low, high], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        apart = float(np.mean(np.abs(both[0] - both[1])))
        axis.set(
            title=f"{_split_name(subjects, split)}\n{apart:.3f} apart on average",
            xlabel=wrapped(f"similarity by {subjects[0].name}"),
            ylabel=wrapped(f"similarity by {other.name}"),
        )
        axis.legend(loc="upper left")

    caption = (
        "Each dot is a pair of pictures (at most 3,000 of each kind, drawn at random), its "
        "similarity by one subject over that by the other. A float network and its int8 file "
        "should lie on the dashed diagonal: width is noise of quantisation, a bend shifts "
        "thresholds. Models of different training need not agree."
    )
    figure = panels(len(cells), panel, columns=max(2, len(others)))
    return finish("agreement", "The same pairs, seen by both", caption, figure, folder)


def draw_training(subject: ReportSubject, curves: TrainingCurves, name: str, folder: Path) -> Plot:
    """Losses, learning rate and validation of one run over its steps."""
    parts = [p for p in ("losses", "validation", "rate") if getattr(curves, p)]
    logarithmic: list[bool] = []

    def panel(index: int, axis: Axes) -> None:
        if parts[index] == "losses":
            _draw_curves(axis, curves.losses)
            losses = [value for curve in curves.losses.values() for value in curve.values]
            logarithmic.append(use_log_axis(axis, "y", losses))
            axis.set(title="losses", ylabel="loss")
        elif parts[index] == "validation":
            scores = {
                name: Curve(curve.steps, tuple(100 * value for value in curve.values))
                for name, curve in curves.validation.items()
            }
            _draw_curves(axis, scores, marker="o")
            axis.set(title="validation", ylabel="score / %")
        elif curves.rate:
            axis.plot(curves.rate.steps, curves.rate.values, color=SERIES[0])
            axis.yaxis.set_major_formatter(lambda value, _: plain_number(value))
            axis.set(title="learning rate", ylabel="learning rate")
        for start in curves.stage_starts[1:]:
            axis.axvline(start, color=MUTED, linewidth=1, linestyle=(0, (2, 3)))
        axis.set_xlabel("steps since the start of the run")

    figure = panels(len(parts), panel, columns=3)
    caption = "Losses are on a logarithmic axis. " * any(logarithmic) + (
        "Validation scores are of the moving average of the weights, which is what is exported."
    )
    if len(curves.stage_starts) > 1:
        caption = f"Dotted lines part the stages. {caption}"
    return finish(name, f"Training of {subject.name}", caption, figure, folder)


def _draw_curves(axis: Axes, curves: dict[str, Curve], marker: str = "") -> None:
    for (name, curve), colour in zip(curves.items(), _colours(), strict=False):
        axis.plot(
            curve.steps,
            curve.values,
            color=colour,
            label=name,
            marker=marker,
            markersize=3,
            linewidth=1.4,
        )
    axis.legend(fontsize=8, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.18))


def panel_title(subjects: Sequence[ReportSubject], subject: ReportSubject, index: int) -> str:
    """The data set, and the subject where there are several."""
    name = _split_name(subjects, index)
    return f"{wrapped(subject.name)}\non {name}" if len(subjects) > 1 else name


def _split_name(subjects: Sequence[ReportSubject], index: int) -> str:
    return wrapped(subjects[0].reports[index].split.name)


def _colours() -> Iterator[str]:
    while True:
        yield from SERIES


def _rgb(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue
