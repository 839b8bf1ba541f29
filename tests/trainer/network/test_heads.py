"""Pooling, BNNeck, classifiers and the projection to a teacher."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.trainer
keras = pytest.importorskip("keras", reason="needs Keras")

from trainer.network.backbone import BackboneConfig, build_backbone  # noqa: E402
from trainer.network.heads import GeMPooling, add_embedding, add_training_heads  # noqa: E402
from trainer.recipe.loss_settings import Losses  # noqa: E402

MAPS = np.random.default_rng(0).uniform(0, 6, (3, 4, 2, 5)).astype(np.float32)


def embedder(pooling: str = "average", dimension: int = 6) -> keras.Model:
    image = keras.Input((4, 2, 5))
    x = keras.layers.Activation("linear", name="maps")(image)
    return add_embedding(keras.Model(image, x), dimension, pooling)


def heads(losses: dict[str, float], teacher_dimension: int = 9) -> keras.Model:
    made = Losses.model_validate(losses)
    return add_training_heads(
        embedder(), identities=4, losses=made, teacher_dimension=teacher_dimension
    )


def numbers(model: keras.Model, **options: bool) -> dict[str, np.ndarray]:
    return {n: keras.ops.convert_to_numpy(o) for n, o in model(MAPS, **options).items()}


@pytest.mark.parametrize("power", [1.0, 3.0, 6.5])
def test_gem_is_the_root_of_the_mean_of_powers(power: float) -> None:
    layer = GeMPooling()
    layer.build(MAPS.shape)
    layer.power.assign(power)
    expected = np.mean(MAPS.astype(np.float64) ** power, axis=(1, 2), keepdims=True) ** (1 / power)
    assert np.allclose(keras.ops.convert_to_numpy(layer(MAPS)), expected, rtol=1e-3)


def test_gem_learns_its_power() -> None:
    """Asked for the maximum, which power 3 falls short of, p grows; dead maps do no harm."""
    image = keras.Input((4, 2, 5))
    model = keras.Model(image, GeMPooling(name="pool")(image))
    model.compile(optimizer=keras.optimizers.SGD(0.5), loss="mse", run_eagerly=True)
    maps = MAPS.copy()
    maps[:, :, :, 0] = 0.0
    for _ in range(5):
        model.train_on_batch(maps, maps.max(axis=(1, 2), keepdims=True))
    power = float(model.get_layer("pool").power)
    assert np.isfinite(power)
    assert power > 3.05


def test_gem_has_a_slope_where_layers_compute_in_half_precision() -> None:
    """A dead channel's cube is nothing in float16, and the root of nothing has no slope."""
    import tensorflow as tf

    keras.config.set_dtype_policy("mixed_float16")
    try:
        half = embedder("gem")
    finally:
        keras.config.set_dtype_policy("float32")
    maps = tf.constant(MAPS * [0, 1, 1, 1, 1], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(maps)
        loss = tf.reduce_sum(tf.cast(half(maps), tf.float32))
    power = half.get_layer("pool").power
    slopes = tape.gradient(loss, [maps, power.value])
    assert all(np.isfinite(slope.numpy()).all() for slope in slopes)


def test_average_pooling_is_gem_of_power_1_and_the_embedding_is_linear() -> None:
    made = embedder("average")
    kernel, bias = made.get_layer("embedding_conv").get_weights()
    expected = MAPS.mean(axis=(1, 2)) @ kernel[0, 0] + bias
    assert np.allclose(keras.ops.convert_to_numpy(made(MAPS)), expected, atol=1e-5)


def test_only_what_the_losses_need_is_built() -> None:
    assert set(numbers(heads({"triplet": 1.0}))) == {"embedding"}
    assert set(numbers(heads({"softmax": 1.0}))) == {"embedding", "logits"}
    everything = numbers(heads(dict.fromkeys(Losses.model_fields, 1.0)))
    assert {name: output.shape for name, output in everything.items()} == {
        "embedding": (3, 6),
        "logits": (3, 4),
        "cosines": (3, 4),
        "centers": (4, 6),
        "imitation": (3, 9),
    }


def test_bnneck_normalises_for_the_classifier_and_leaves_the_embedding_alone() -> None:
    """In training each number has mean 0 over the batch, and no shift is learned."""
    model = heads({"softmax": 1.0, "triplet": 1.0})
    neck = model.get_layer("neck")
    assert [v.name for v in neck.trainable_variables] == ["gamma"]
    outputs = numbers(model, training=True)
    kernel = model.get_layer("classifier").get_weights()[0]
    e = outputs["embedding"]
    normal = (e - e.mean(axis=0)) / np.sqrt(e.var(axis=0) + neck.epsilon)
    assert np.allclose(outputs["logits"], normal @ kernel, atol=1e-3)
    assert np.allclose(e, keras.ops.convert_to_numpy(embedder_of(model)(MAPS)), atol=1e-5)


def embedder_of(model: keras.Model) -> keras.Model:
    return keras.Model(model.input, model.get_layer("embedding").output)


def test_the_angular_classifier_has_no_lengths_and_no_bias() -> None:
    model = heads({"arcface": 1.0})
    layer = model.get_layer("cosines")
    before = numbers(model)["cosines"]
    assert np.abs(before).max() <= 1 + 1e-6
    layer.set_weights([5.0 * layer.get_weights()[0]])
    assert np.allclose(numbers(model)["cosines"], before, atol=1e-6)


def test_a_teacher_of_the_same_dimension_is_imitated_by_the_embedding_itself() -> None:
    same = numbers(heads({"regression": 1.0}, teacher_dimension=6))
    assert np.array_equal(same["imitation"], same["embedding"])


def test_last_stride_1_doubles_the_last_map() -> None:
    def side(stride: int) -> tuple[int, ...]:
        return tuple(build_backbone(BackboneConfig(0.35, stride), 64, 32).output_shape[1:3])

    assert (side(1), side(2)) == ((4, 2), (2, 1))


@pytest.mark.parametrize(("pooling", "worst"), [("average", 0.98), ("gem", 0.9)])
def test_pooling_survives_int8(pooling: str, worst: float, tmp_path: Path) -> None:
    """GeM's two powers stay float in the file, and the maps of powers are rounded coarsely."""
    pytest.importorskip("tensorflow", reason="the converter is TensorFlow's")
    from edge_reid.vision.runtime import Model
    from trainer.export.quantize import to_tflite

    keras.utils.set_random_seed(0)
    image = keras.Input((16, 8, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="normalise")(image)
    x = keras.layers.Conv2D(16, 3, strides=2, activation="relu")(x)
    network = add_embedding(keras.Model(image, x), 12, pooling)
    crops = np.random.default_rng(0).integers(0, 256, (8, 16, 8, 3), np.uint8)
    file = tmp_path / "net.tflite"
    file.write_bytes(to_tflite(network, "int8", crops))
    exact = keras.ops.convert_to_numpy(network(crops.astype(np.float32)))
    exported = Model(file)
    for crop, row in zip(crops, exact, strict=True):
        (found,) = exported(crop[np.newaxis])
        assert found[0] @ row / np.linalg.norm(found) / np.linalg.norm(row) > worst
