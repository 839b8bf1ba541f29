"""The 2021 paper's own experiment over many draws: which of a few people is on this picture?

Jalapur & Hundekar (2021) took three people and about 1,400 images, augmented ones included,
trained a softmax classifier on an ImageNet MobileNet and state an identification accuracy of
98.18 %. One draw of people says little, so here are many; and the same test images are also named
by the nearest template of an embedding model that was not trained on these people.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from edge_reid.core.errors import UsageError
from edge_reid.vision.embed import Embedder
from trainer.data.datasets import IntArray, PersonData
from trainer.experiment import softmax
from trainer.experiment.draws import Cut, DrawnPerson, Image, cut_person, drawable, strict_cut
from trainer.experiment.images import Features, Images
from trainer.experiment.outcomes import Method, TrialOutcome


@dataclass(frozen=True, slots=True)
class TrialPlan:
    """How the experiment is done.

    Attributes:
        people: drawn for a trial; 3 in the paper.
        images: of all of them together, changed copies included; about 1,400 in the paper.
        trials: draws of people.
        seed: of draws, cuts, copies and training.
        refine: also train the last blocks of the base after the new layers, which takes minutes
            a trial.
    """

    people: int = 3
    images: int = 1400
    trials: int = 50
    seed: int = 1
    refine: bool = False

    def __post_init__(self) -> None:
        if self.people < 2 or self.images < 10 * self.people or self.trials < 1:  # noqa: PLR2004
            raise UsageError(
                "experiment: expected at least 2 people, 10 images a person and 1 trial, got "
                f"{self.people}, {self.images} images and {self.trials}"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Eyes:
    """Both ways of seeing an image: ImageNet's frozen base, and the embedding model."""

    images: Images
    base: keras.Model
    features: Features
    embeddings: Features


def open_eyes(data: PersonData, model: Path, imagenet: Path | None, seed: int) -> Eyes:
    """Both networks at the embedding model's input size; errors as of `imagenet_base`."""
    embedder = Embedder(model)
    size = embedder.manifest.input_height_px, embedder.manifest.input_width_px
    base = softmax.imagenet_base(imagenet, *size)
    images = Images(data, *size, seed)
    return Eyes(
        images,
        base,
        Features(lambda crops: np.asarray(base.predict_on_batch(crops)), images),
        Features(lambda crops: embedder.embed(list(crops)), images),
    )


def closed_set(data: PersonData, eyes: Eyes, plan: TrialPlan) -> Iterator[tuple[TrialOutcome, ...]]:
    """Outcomes of every method on the drawn people, under both cuts, trial after trial.

    Raises:
        TrainingError: too few people can be drawn.
    """
    fit = drawable(data, plan.people)
    for trial in range(plan.trials):
        rng = np.random.default_rng((plan.seed, trial))
        drawn = rng.choice(fit, plan.people, replace=False)
        found: list[TrialOutcome] = []
        for cut in (strict_cut(data), "random"):
            share = plan.images // plan.people
            people = [cut_person(data, label, cut, share, rng) for label in drawn.tolist()]
            found += _try_methods(_Trial(trial, cut, people, data), eyes, plan)
        yield tuple(found)


@dataclass(frozen=True, slots=True, eq=False)
class _Trial:
    number: int
    cut: Cut
    people: Sequence[DrawnPerson]
    data: PersonData

    def train(self) -> tuple[list[Image], IntArray]:
        """Images to learn from or to enrol, and whose each is: (N,) numbers from 0."""
        return _joined([person.train for person in self.people])

    def test(self) -> tuple[list[Image], IntArray]:
        """Images to name, and whose each is."""
        return _joined([person.test for person in self.people])

    def outcome(self, method: Method, named: IntArray, began_s: float) -> TrialOutcome:
        truth = self.test()[1]
        return TrialOutcome(
            self.number,
            tuple(self.data.identities[person.label] for person in self.people),
            self.cut,
            method,
            correct=int(np.sum(named == truth)),
            tested=len(truth),
            time_s=time.monotonic() - began_s,
        )


def _joined(parts: Sequence[Sequence[Image]]) -> tuple[list[Image], IntArray]:
    numbers = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    return [image for part in parts for image in part], numbers


def _try_methods(trial: _Trial, eyes: Eyes, plan: TrialPlan) -> Iterator[TrialOutcome]:
    (train, whose), (test, _) = trial.train(), trial.test()
    began_s = time.monotonic()
    head = softmax.train_head(eyes.features.rows(train), whose, plan.people, plan.seed)
    named = softmax.classify(head, eyes.features.rows(test))
    yield trial.outcome("softmax", named, began_s)
    if plan.refine:
        network = softmax.refined(eyes.base, head, eyes.images.pixels(train), whose)
        named = softmax.classify(network, eyes.images.pixels(test))
        yield trial.outcome("refined softmax", named, began_s)
    began_s = time.monotonic()
    similarity = eyes.embeddings.rows(test) @ eyes.embeddings.rows(train).T
    yield trial.outcome("nearest template", whose[similarity.argmax(axis=1)], began_s)
