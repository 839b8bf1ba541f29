"""Short real fits, one for each loss, on whatever backend Keras runs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.trainer
keras = pytest.importorskip("keras", reason="needs Keras")

from trainer.network.heads import add_embedding, add_training_heads  # noqa: E402
from trainer.network.objective import ReidModel  # noqa: E402
from trainer.recipe.loss_settings import Losses  # noqa: E402

PEOPLE, SHOTS, TEACHER_DIMENSION = 4, 4, 12
EVERY_LOSS = list(Losses.model_fields)


def pictures() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coats of four colours in noise; a teacher that knows each by heart."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(PEOPLE), SHOTS).astype(np.int32)
    coats = rng.integers(0, 256, (PEOPLE, 1, 1, 3))
    images = coats[labels] + rng.integers(-60, 60, (len(labels), 16, 8, 3))
    teacher = rng.normal(size=(PEOPLE, TEACHER_DIMENSION))[labels]
    teacher /= np.linalg.norm(teacher, axis=1, keepdims=True)
    return np.clip(images, 0, 255).astype(np.float32), labels, teacher.astype(np.float32)


def small_model(losses: Losses, rate: float = 3e-3, dimension: int = 8) -> ReidModel:
    keras.utils.set_random_seed(1)
    image = keras.Input((16, 8, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(image)
    x = keras.layers.Conv2D(16, 3, strides=2, activation="relu")(x)
    embedder = add_embedding(keras.Model(image, x), dimension)
    heads = add_training_heads(embedder, PEOPLE, losses, TEACHER_DIMENSION)
    model = ReidModel(heads.input, heads.output, losses=losses)
    # Eager: a graph of its own for every one of these networks would take most of the time.
    model.compile(optimizer=keras.optimizers.Adam(rate), run_eagerly=True, jit_compile=False)
    return model


def step(model: ReidModel, images: np.ndarray, labels: np.ndarray, teacher: np.ndarray) -> Any:
    model.reset_metrics()
    return model.train_on_batch(images, {"label": labels, "teacher": teacher}, return_dict=True)


def finite(model: ReidModel) -> bool:
    return all(np.isfinite(keras.ops.convert_to_numpy(v)).all() for v in model.variables)


@pytest.mark.parametrize("name", EVERY_LOSS)
def test_a_short_fit_lowers_the_loss(name: str) -> None:
    model = small_model(Losses.model_validate({name: 1.0}))
    course = [float(step(model, *pictures())[name]) for _ in range(25)]
    # Of K pictures of a person, each of the other K - 1 can have no more than its share.
    least = math.log(SHOTS - 1) if name == "contrastive" else 0.0
    assert min(course[-3:]) - least < 0.8 * (course[0] - least)
    assert finite(model)


@pytest.mark.parametrize("trouble", ["one identity", "no second picture", "one picture again"])
def test_a_degenerate_batch_leaves_the_weights_finite(trouble: str) -> None:
    images, labels, teacher = pictures()
    if trouble == "one identity":
        labels = np.zeros_like(labels)
    elif trouble == "no second picture":
        images, labels, teacher = (array[::SHOTS] for array in (images, labels, teacher))
    else:
        images, teacher = np.repeat(images[:1], 16, axis=0), np.zeros_like(teacher)
    model = small_model(Losses.model_validate(dict.fromkeys(EVERY_LOSS, 1.0)))
    for _ in range(2):
        parts = step(model, images, labels, teacher)
        assert all(np.isfinite(float(parts[name])) for name in EVERY_LOSS)
    assert finite(model)


def test_the_loss_is_the_weighted_sum_of_its_parts() -> None:
    losses = Losses.model_validate({"softmax": 0.5, "circle": {"weight": 2.0, "scale": 16}})
    parts = step(small_model(losses), *pictures())
    expected = 0.5 * float(parts["softmax"]) + 2.0 * float(parts["circle"])
    assert float(parts["loss"]) == pytest.approx(expected, rel=1e-5)


def test_centres_follow_their_people() -> None:
    model = small_model(Losses.model_validate({"center": 1.0, "softmax": 1.0}), rate=0.0)
    images, labels, teacher = pictures()
    for _ in range(12):
        step(model, images, labels, teacher)
    centers = keras.ops.convert_to_numpy(model.get_layer("centers").centers)
    embeddings = keras.ops.convert_to_numpy(model(images)["embedding"])
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    expected = embeddings.reshape(PEOPLE, SHOTS, -1).mean(axis=1)
    assert np.allclose(centers, expected, atol=0.01)
