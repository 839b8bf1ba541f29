"""Scores by the Market-1501 protocol: of a Keras run, or of a `.tflite` as the device runs it.

Nothing here needs TensorFlow but `evaluate_run`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edge_reid.core.config.vision_settings import RuntimeName
from edge_reid.core.errors import TrainingError
from edge_reid.matching.vectors import unit_rows
from edge_reid.vision.crops import whole_crop_quality
from edge_reid.vision.embed import Embedder
from edge_reid.vision.grey_world import balanced
from edge_reid.vision.preprocess import to_input
from trainer.data.datasets import (
    DISTRACTOR_IDENTITY,
    JUNK_IDENTITY,
    IntArray,
    PersonData,
    query_gallery,
    read_market,
    read_source,
    set_name,
)
from trainer.data.decoded_crops import read_image
from trainer.data.listing import GALLERY, QUERY, pictures_in
from trainer.data.pictures import refuse_unreadable
from trainer.data.run_data import RunData, load_data_of
from trainer.files.progress_bars import bar, waiting
from trainer.scoring.crop_embeddings import CropEmbeddings
from trainer.scoring.ranking_metrics import FloatArray, People, Ranking, rank_gallery
from trainer.scoring.track_means import two_views
from trainer.scoring.verification import FARS, pair_similarities, supports, tars_at_fars

if TYPE_CHECKING:
    import keras

_RANKS = (1, 5, 10)
_MOST_NAMED = 5
_CHUNK = 512
"""Pictures of a run's network decoded at a time: 512 crops of 256×128 are 50 MB."""


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """A data set cut into queries and the gallery they are looked up in."""

    name: str
    data: PersonData
    query: IntArray
    gallery: IntArray
    caution: str = ""
    """What makes scores on it say less than they seem to."""

    def people(self, crops: CropEmbeddings, index: IntArray) -> People:
        """The pictures at `index` as points, from the embeddings of all of `data`."""
        data, chosen = self.data, crops.take(index)
        return People(chosen.rows, data.labels[index], data.cameras[index], chosen.qualities)

    @property
    def ranked(self) -> int:
        """Pictures of the gallery that take part; junk does not."""
        return int(np.sum(self.data.labels[self.gallery] != JUNK_IDENTITY))

    def never_queried(self) -> tuple[str, ...]:
        """Identities that only lie in the gallery, such as people of one picture."""
        labels = np.setdiff1d(self.data.labels[self.gallery], self.data.labels[self.query])
        return tuple(self.data.identities[label] for label in labels if label >= 0)

    @property
    def distractors(self) -> int:
        """Pictures of the gallery that show anybody and match nobody."""
        return int(np.sum(self.data.labels[self.gallery] == DISTRACTOR_IDENTITY))

    def known_people(self, crops: CropEmbeddings) -> People:
        """All pictures of people who are queried, the others with label -1; for open-set trials.

        Where cameras are not known, the halves of a person's pictures stand for two.
        """
        labels = self.data.labels
        queried = np.where(np.isin(labels, labels[self.query]), labels, JUNK_IDENTITY)
        cameras = self.data.cameras if self.data.has_cameras else two_views(queried)
        return People(crops.rows, queried, cameras, crops.qualities)


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """What scoring a model on a split gave."""

    split: Split
    crops: CropEmbeddings
    """N, in the order of `split.data`."""
    ranking: Ranking

    @property
    def embeddings(self) -> FloatArray:
        """(N, D) unit rows, in the order of `split.data`."""
        return self.crops.rows

    @property
    def query(self) -> People:
        """The queries as points."""
        return self.split.people(self.crops, self.split.query)

    @property
    def gallery(self) -> People:
        """The gallery as points."""
        return self.split.people(self.crops, self.split.gallery)

    def accept_rates(self) -> dict[float, float]:
        """TAR at each of `FARS` that the pairs of query and gallery pictures can show."""
        impostor, genuine = pair_similarities(
            self.query, self.gallery, cross_camera=self.split.data.has_cameras
        )
        shown = [far for far in FARS if supports(len(impostor), far)]
        return tars_at_fars(impostor, genuine, shown)

    def scores(self) -> dict[str, float]:
        """Rank-1, 5, 10, mAP and mINP by name, each in [0, 1]."""
        ranking = self.ranking
        return {f"rank-{k}": ranking.rank(k) for k in _RANKS} | {
            "mAP": ranking.mean_average_precision,
            "mINP": ranking.mean_inverse_penalty,
        }

    def skipped_names(self) -> tuple[str, ...]:
        """Files of the queries that have no valid match in the gallery."""
        paths, query = self.split.data.paths, self.split.query
        return tuple(paths[query[i]].name for i in self.ranking.skipped)

    def remarks(self) -> str:
        """What a reader must know beside the numbers."""
        text = f"{self.ranking.queries} queries against {self.split.ranked} pictures"
        if junk := len(self.split.gallery) - self.split.ranked:
            text += f" ({junk} junk ones left out)"
        if distractors := self.split.distractors:
            text += f", {distractors} of them distractors"
        rule = "the query's person under the query's camera is left out"
        text += f"; {self.split.data.camera_remark() or rule}"
        if names := self.skipped_names():
            text += f"; {len(names)} queries without a valid match skipped: {_listed(names)}"
        if people := self.split.never_queried():
            text += f"; {len(people)} people only to be mistaken for, never a query: "
            text += _listed(people)
        return f"{text}; {self.split.caution}" if self.split.caution else text

    def as_dict(self) -> dict[str, Any]:
        """The scores for `--json`."""
        return self.scores() | {
            "data": self.split.name,
            "queries": self.ranking.queries,
            "gallery": self.split.ranked,
            "cross_camera": self.split.data.has_cameras,
            "skipped": list(self.skipped_names()),
            "never_queried": list(self.split.never_queried()),
        }


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_MOST_NAMED]) + (" …" if len(names) > _MOST_NAMED else "")


def read_split(folder: Path) -> Split:
    """A data set's own `query/` and `bounding_box_test/`, or one query per person and camera."""
    query, gallery = folder / QUERY, folder / GALLERY
    if query.is_dir() and gallery.is_dir():
        files = [pictures_in(query), pictures_in(gallery)]
        data = read_market([*files[0], *files[1]], folder)
        cut = len(files[0])
        return Split(set_name(folder), data, np.arange(cut), np.arange(cut, len(data)))
    return split_people(read_source(folder), set_name(folder))


def split_people(data: PersonData, name: str, seed: int = 0) -> Split:
    """A split in which one picture per identity and camera is looked up among the others."""
    return Split(name, data, *query_gallery(data, seed))


def validation_split(data: RunData) -> Split:
    """The validation people of a run; the name and the caution say whether it trained on them."""
    shown, name = data.validation, data.validation_name
    if data.photo_queries is None:
        return replace(split_people(shown, name), caution=data.caution)
    gallery = np.setdiff1d(np.arange(len(shown)), data.photo_queries)
    return Split(name, shown, data.photo_queries, gallery, data.caution)


def score(split: Split, crops: CropEmbeddings) -> Report:
    """Rank the gallery for every query.

    Args:
        split: who is looked up among whom.
        crops: embeddings of all of `split.data`, in its order.

    Raises:
        TrainingError: an embedding is not finite, or no query has a valid match.
    """
    broken = np.flatnonzero(~np.isfinite(crops.rows).all(axis=1))
    if len(broken):
        raise TrainingError(
            f"data {split.name}: expected finite embeddings, got {len(broken)} that are not, "
            f"the first of {split.data.paths[broken[0]].name}; the model is broken"
        )
    data = split.data
    ranking = rank_gallery(
        split.people(crops, split.query),
        split.people(crops, split.gallery),
        cross_camera=data.has_cameras,
    )
    if not ranking.queries:
        raise TrainingError(
            f"data {split.name}: expected people seen "
            f"{'by two cameras' if data.has_cameras else 'at least twice'}, got none; "
            "nothing can be ranked"
        )
    return Report(split, crops, ranking)


def evaluate_file(
    model: Path, split: Split, runtime: RuntimeName = "auto", threads: int = 1
) -> Report:
    """Score a `.tflite` through the device's own preprocessing and runtime."""
    crops = embed_with_file(model, split.data.paths, runtime, threads)
    with waiting("ranking"):
        return score(split, crops)


def embed_with_file(
    model: Path, paths: Sequence[Path], runtime: RuntimeName = "auto", threads: int = 1
) -> CropEmbeddings:
    """Embeddings of image files, by a `.tflite` as the device runs it.

    Raises:
        TrainingError: some of the files cannot be read.
    """
    refuse_unreadable(paths)
    embedder = Embedder(model, runtime=runtime, threads=threads)
    rows = np.empty((len(paths), embedder.manifest.dimension), np.float32)
    qualities = np.empty(len(paths))
    for number, path in enumerate(bar(paths, "embedding")):
        image = read_image(path)
        rows[number] = embedder.embed([image])[0]
        qualities[number] = whole_crop_quality(image)
    return CropEmbeddings(rows, qualities)


def evaluate_run(run: Path, folder: Path | None) -> Report:
    """Score a run's float network on a data set, or on the people it held out."""
    from trainer.network.model import load_run  # noqa: PLC0415 - brings TensorFlow

    loaded = load_run(run)
    if folder is not None:
        split = read_split(folder)
    else:
        split = validation_split(load_data_of(run, loaded.recipe))
    return evaluate_network(loaded.embedder, split, loaded.recipe.grey_world)


def evaluate_network(network: keras.Model, split: Split, grey_world: float = 0.0) -> Report:
    """Score a float network, which wants its crops balanced by `grey_world` as its recipe says."""
    crops = embed_with_network(network, split.data.paths, grey_world)
    with waiting("ranking"):
        return score(split, crops)


def embed_with_network(
    network: keras.Model, paths: Sequence[Path], grey_world: float = 0.0
) -> CropEmbeddings:
    """Embeddings of image files, by a float network; a few pictures in memory at a time.

    Raises:
        TrainingError: some of the files cannot be read.
    """
    refuse_unreadable(paths)
    height_px, width_px = network.input_shape[1:3]
    starts = bar(range(0, len(paths), _CHUNK), "embedding")
    rows: list[FloatArray] = []
    qualities: list[float] = []
    for start in starts:
        crops = np.empty((len(paths[start : start + _CHUNK]), height_px, width_px, 3), np.uint8)
        for crop, path in zip(crops, paths[start : start + _CHUNK], strict=True):
            image = read_image(path)
            crop[:] = balanced(to_input(image, height_px, width_px)[0], grey_world)
            qualities.append(whole_crop_quality(image))
        rows.append(embed_crops(network, crops))
    return CropEmbeddings(np.concatenate(rows), np.array(qualities))


def embed_crops(network: keras.Model, crops: npt.NDArray[np.uint8], batch: int = 64) -> FloatArray:
    """Unit embeddings (N, D) float32 of crops (N, H, W, 3) RGB uint8 by a float network."""
    rows = [
        np.asarray(network.predict_on_batch(np.asarray(crops[i : i + batch])))
        for i in range(0, len(crops), batch)
    ]
    return unit_rows(np.concatenate(rows).astype(np.float32))
