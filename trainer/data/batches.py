"""Training batches made ahead of time by one thread, the same for the same seed and step."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType

import numpy as np
import numpy.typing as npt

from edge_reid.vision.grey_world import balanced_batch
from trainer.data.augment import augment
from trainer.data.sampler import batches_per_epoch, pk_batches
from trainer.data.unlabelled import UNLABELLED
from trainer.recipe.recipe import Recipe

_AHEAD = 6
_POLL_S = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class TrainingSet:
    """What batches are made of.

    Attributes:
        crops: (N + U, H, W, 3) RGB uint8, N of labelled pictures, then U of others.
        labels: (N,) int64.
        teacher: (N + U, D) float32, what teachers said; zero rows where nothing.
        weights: (U,) float64, how often each of the others is drawn.
        online: what teachers say about views (B, H, W, 3), if they are asked as training goes.
    """

    crops: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    teacher: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    online: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What one step sees: images (B, H, W, 3) uint8, labels (B,) int32, teacher (B, D) float32.

    The labelled pictures come first; the others have the label `UNLABELLED`.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int32]
    teacher: npt.NDArray[np.float32]


def batches_from(
    data: TrainingSet, recipe: Recipe, *, seed: int, first_step: int = 0
) -> Iterator[Batch]:
    """Endless batches from `first_step` on: a resumed run sees what it would have seen."""
    labelled = _labelled(data.labels, recipe, seed=seed, first_step=first_step)
    for step, chosen in enumerate(labelled, first_step):
        rng = np.random.default_rng([seed, step])
        others = _drawn(data.weights, recipe.unlabelled_per_batch, rng)
        shown = np.concatenate([chosen, len(data.labels) + others])
        images = augment(data.crops[shown], recipe.augment, rng)
        labels = np.concatenate([data.labels[chosen], np.full(len(others), UNLABELLED)])
        teacher = data.online(images) if data.online else data.teacher[shown]
        images = balanced_batch(images, recipe.grey_world)
        yield Batch(images, labels.astype(np.int32), teacher)


def _labelled(
    labels: npt.NDArray[np.int64], recipe: Recipe, *, seed: int, first_step: int
) -> Iterator[npt.NDArray[np.int64]]:
    """Endless P×K indices from `first_step` on; empty ones where nobody is labelled."""
    if not len(labels):
        return itertools.repeat(np.empty(0, np.int64))
    people, of_each = people_per_batch(labels, recipe), recipe.images_per_identity
    in_epoch = batches_per_epoch(labels, identities=people, images=of_each)
    first_epoch, shown = divmod(first_step, in_epoch)
    index = itertools.chain.from_iterable(
        pk_batches(labels, identities=people, images=of_each, seed=seed, epoch=epoch)
        for epoch in itertools.count(first_epoch)
    )
    return itertools.islice(index, shown, None)


def _drawn(
    weights: npt.NDArray[np.float64], count: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Up to `count` different indices, each in proportion to its weight."""
    # The smallest of exponentials at these rates are a draw without replacement.
    turns = rng.exponential(size=len(weights)) / weights
    return np.argsort(turns)[:count]


def people_per_batch(labels: npt.NDArray[np.int64], recipe: Recipe) -> int:
    """The recipe's P, or everybody where there are fewer."""
    return min(recipe.identities_per_batch, len(np.unique(labels)))


def labelled_per_batch(labels: npt.NDArray[np.int64], recipe: Recipe) -> int:
    """P × K of a batch, from the labels (N,) of the training pictures."""
    return people_per_batch(labels, recipe) * recipe.images_per_identity


def steps_per_epoch(labels: npt.NDArray[np.int64], recipe: Recipe, unlabelled: int = 0) -> int:
    """Batches in which about every labelled picture is seen once; of none, every unlabelled one."""
    if not len(labels):
        return -(-unlabelled // recipe.unlabelled_per_batch)
    people = people_per_batch(labels, recipe)
    return batches_per_epoch(labels, identities=people, images=recipe.images_per_identity)


class Batches(Iterator[Batch]):
    """`batches_from`, made ahead in a thread; an error there is raised by `next`.

    A context manager: leaving it ends the thread.
    """

    def __init__(self, data: TrainingSet, recipe: Recipe, *, seed: int, first_step: int) -> None:
        self._source = batches_from(data, recipe, seed=seed, first_step=first_step)
        self._ready: queue.Queue[Batch | Exception] = queue.Queue(_AHEAD)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._fill, name="batches", daemon=True)

    def __enter__(self) -> Batches:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def __next__(self) -> Batch:
        item = self._ready.get()
        if isinstance(item, Exception):
            raise item
        return item

    def _fill(self) -> None:
        try:
            for batch in self._source:
                if not self._put(batch):
                    return
        except Exception as error:  # raised again where the batch is awaited
            self._put(error)

    def _put(self, item: Batch | Exception) -> bool:
        while not self._stop.is_set():
            try:
                self._ready.put(item, timeout=_POLL_S)
            except queue.Full:
                continue
            return True
        return False
