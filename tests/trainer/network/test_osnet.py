"""An OSNet is written down once, and computes the same for training and for a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.trainer
pytest.importorskip("keras", reason="needs Keras")

from support.drawn_osnet import ALPHA, DIMENSION, drawn_osnet  # noqa: E402

from edge_reid.core.errors import ConfigError, TrainingError  # noqa: E402
from trainer.network.backbone import freeze_below  # noqa: E402
from trainer.network.model import build_embedder, load_weights, save_weights  # noqa: E402
from trainer.network.operation_network import (  # noqa: E402
    build_network,
    build_trainable,
    trained,
)
from trainer.network.optimizer import make_optimizer  # noqa: E402
from trainer.network.osnet import filled, osnet, resampled_pooling  # noqa: E402
from trainer.recipe.recipe import Recipe, make_recipe  # noqa: E402

HEIGHT_PX, WIDTH_PX = 64, 32
CROPS = np.random.default_rng(3).integers(0, 256, (3, HEIGHT_PX, WIDTH_PX, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def operations():  # type: ignore[no-untyped-def]
    return drawn_osnet(HEIGHT_PX, WIDTH_PX)


def osnet_recipe(**settings: object) -> Recipe:
    stage = {"height_px": HEIGHT_PX, "width_px": WIDTH_PX, "epochs": 1}
    given = {"sources": [{"path": "people"}], "stages": [stage], "backbone": "osnet"}
    given |= {"start_from": "start.npz"}
    return make_recipe(given | {"alpha": ALPHA, "dimension": DIMENSION} | settings)


def test_it_has_as_many_weights_as_the_network_of_intel() -> None:
    """Open Model Zoo says 0.595 million of person-reidentification-retail-0287, 2.103 of -0277."""
    for alpha, millions in ((0.5, 0.595), (1.0, 2.103)):
        sizes = [
            array.size
            for each in osnet(alpha, 256, 256, 128)
            for array in (*each.constants, each.scale, each.shift)
            if array is not None
        ]
        assert sum(sizes) / 1e6 == pytest.approx(millions, rel=0.005)


def test_what_is_trained_computes_what_the_operations_say(operations) -> None:  # type: ignore[no-untyped-def]
    expected = np.asarray(build_network(operations)(CROPS))
    network = build_trainable(operations)
    assert expected.shape == (3, DIMENSION)
    assert np.asarray(network(CROPS)) == pytest.approx(expected, abs=1e-4)
    again = build_network(trained(operations, network))
    assert np.asarray(again(CROPS)) == pytest.approx(expected, abs=1e-5)


def test_everything_is_learnt_but_the_epsilons_of_its_norms(operations) -> None:  # type: ignore[no-untyped-def]
    network = build_trainable(operations)
    freeze_below(network, 0)
    fixed = {each.path for each in network.non_trainable_variables}
    assert all("_epsilon/" in path for path in fixed)
    assert len(fixed) == sum(each.kind == "MVN" for each in operations)


def test_it_is_frozen_from_below(operations) -> None:  # type: ignore[no-untyped-def]
    network = build_trainable(operations)
    freeze_below(network, 2)
    learning = {each.path.split("/")[0] for each in network.trainable_variables}
    assert not any(name.startswith(("stem_", "block1_", "block2_")) for name in learning)
    assert {"block3_narrow", "pool_kernel", "embedding_dense_kernel"} <= learning
    freeze_below(network, 18)
    learning = {each.path.split("/")[0] for each in network.trainable_variables}
    assert all(name.startswith(("pool_", "embedding_")) for name in learning)


def test_it_looks_at_light_and_colour_cast_no_more_than_at_nothing(operations) -> None:  # type: ignore[no-untyped-def]
    network = build_network(operations)
    other = CROPS * np.float32([0.5, 0.8, 0.9]) + np.float32([40, 3, 20])
    assert np.asarray(network(other)) == pytest.approx(np.asarray(network(CROPS)), rel=1e-3)


def test_weights_fit_crops_of_another_size(operations, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "weights.npz"
    network = build_trainable(operations)
    save_weights(network, file)
    larger = build_embedder(osnet_recipe(), 96, 48)
    load_weights(larger, file)
    kernel = larger.get_layer("pool_kernel").get_weights()[0]
    before = network.get_layer("pool_kernel").get_weights()[0]
    assert kernel.shape == (256, 1, 1, 6, 3)
    # A map of ones weighs the same, whatever its size.
    inner = resampled_pooling(np.ones_like(before), 6, 3)
    assert inner.sum(axis=(3, 4)) == pytest.approx(before.shape[3] * before.shape[4])
    same = build_embedder(osnet_recipe(), HEIGHT_PX, WIDTH_PX)
    load_weights(same, file)
    assert np.array_equal(same.get_layer("pool_kernel").get_weights()[0], before)


def test_a_pooling_that_looks_at_the_top_does_so_at_any_size() -> None:
    top = np.zeros((600, 1, 1, 16, 8), np.float32)
    top[..., :4, :] = 1
    smaller = resampled_pooling(top, 12, 6)
    assert smaller[..., :3, :].sum() == pytest.approx(top.sum(), rel=1e-4)
    assert not smaller[..., 3:, :].any()
    larger = resampled_pooling(smaller, 16, 8)
    assert larger[..., :4, :].sum() == pytest.approx(top.sum(), rel=1e-4)


def test_another_network_is_told_by_what_differs(operations) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(
        TrainingError, match=r"other.xml: expected the OSNet .* 307 operat.*, got 306"
    ):
        filled(osnet(ALPHA, DIMENSION, HEIGHT_PX, WIDTH_PX), operations[:-1], "other.xml")
    with pytest.raises(TrainingError, match=r"with MVN stem_normalise of \(64, 48, 3\), got MVN"):
        filled(osnet(ALPHA, DIMENSION, HEIGHT_PX, 48)[1:], operations[1:], "other.xml")


def test_a_recipe_says_what_an_osnet_has_and_no_more() -> None:
    with pytest.raises(ConfigError, match="pooling and last_stride: expected nothing beside"):
        osnet_recipe(pooling="gem", last_stride=2)
    with pytest.raises(ConfigError, match=r"grey_world: .* osnet, with which .* nothing; leave"):
        osnet_recipe(grey_world=0.5)  # it takes out all of a cast itself
    with pytest.raises(
        ConfigError, match=r"alpha: expected 0\.5 or 1 of backbone osnet, got 0\.35"
    ):
        osnet_recipe(alpha=0.35)
    with pytest.raises(ConfigError, match="start_from: expected weights for backbone osnet"):
        osnet_recipe(start_from=None)
    with pytest.raises(ConfigError, match="expected crops of 32 pixels a side or more .*got 32x16"):
        osnet_recipe(stages=[{"height_px": 32, "width_px": 16, "epochs": 1}])


def test_what_the_borders_do_not_weigh_keeps_its_sum_at_another_size() -> None:
    middle = np.zeros((4, 1, 1, 16, 8), np.float32)
    middle[..., 1:-1, 1:-1] = 1
    assert resampled_pooling(middle, 12, 6).sum() == pytest.approx(middle.sum(), rel=0.001)


def test_norms_are_not_decayed_as_those_of_a_mobilenet_are_not(operations) -> None:  # type: ignore[no-untyped-def]
    network = build_trainable(operations)
    optimizer = make_optimizer(osnet_recipe())
    optimizer.build(network.trainable_variables)
    decayed = {
        each.path for each in network.trainable_variables if optimizer._use_weight_decay(each)
    }
    assert not [path for path in decayed if "_scale/" in path or "_shift/" in path]
