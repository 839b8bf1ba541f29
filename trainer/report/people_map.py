"""The embedding map: people as coloured clusters in two dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from trainer.data.datasets import IntArray, PersonData
from trainer.report.plots import panel_title
from trainer.report.style import Plot, finish, panels
from trainer.report.subjects import ReportSubject
from trainer.scoring.ranking_metrics import FloatArray

_PEOPLE = 20
"""As many as colours can be told apart."""
_ENOUGH_FOR_TSNE = 12
_PERPLEXITY = 15
_MARKERS = "os^Dv"


def draw_map(subjects: Sequence[ReportSubject], folder: Path) -> Plot:
    """Pictures of a few people, near each other where their embeddings are."""
    cells = [(subject, index) for subject in subjects for index in range(len(subject.reports))]
    colours = mpl.colormaps["tab20"].colors  # type: ignore[attr-defined]

    def panel(index: int, axis: Axes) -> None:
        subject, split = cells[index]
        report = subject.reports[split]
        data = report.split.data
        rows = chosen_people(data)
        points = flattened(report.embeddings[rows])
        people = np.unique(data.labels[rows])
        for number, label in enumerate(people):
            own = points[data.labels[rows] == label]
            marker = _MARKERS[number // 4 % len(_MARKERS)]
            axis.scatter(
                own[:, 0], own[:, 1], s=18, marker=marker, color=colours[number], linewidths=0
            )
        axis.set_title(panel_title(subjects, subject, split))
        axis.spines[:].set_visible(False)
        axis.set(xticks=[], yticks=[])
        axis.grid(visible=False)

    caption = (
        f"All pictures of {_PEOPLE} people at most (evenly picked, the same for every "
        "subject), each person in a colour and shape of their own. Drawn by t-SNE (scikit-learn, "
        f"from PCA, perplexity {_PERPLEXITY}; PCA alone for a handful of pictures): what lies "
        "together looks alike to the model, distances between groups mean nothing."
    )
    figure = panels(len(cells), panel, height_in=3.9)
    return finish("map", "People in two dimensions", caption, figure, folder)


def chosen_people(data: PersonData) -> IntArray:
    """Rows of all pictures of at most `_PEOPLE` people, evenly picked."""
    people = np.unique(data.labels[data.labels >= 0])
    picked = np.linspace(0, len(people) - 1, min(_PEOPLE, len(people))).round().astype(int)
    return np.flatnonzero(np.isin(data.labels, people[picked]))


def flattened(embeddings: FloatArray) -> npt.NDArray[np.float64]:
    """(N, D) → (N, 2): t-SNE, or PCA where rows are few."""
    if len(embeddings) < _ENOUGH_FOR_TSNE:
        parts = min(2, *embeddings.shape)
        flat = PCA(parts).fit_transform(embeddings)
        return np.pad(np.asarray(flat, np.float64), ((0, 0), (0, 2 - parts)))
    perplexity = min(_PERPLEXITY, (len(embeddings) - 1) / 3)
    projection = TSNE(2, perplexity=perplexity, init="pca", random_state=0)
    return np.asarray(projection.fit_transform(embeddings), np.float64)
