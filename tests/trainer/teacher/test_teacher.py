"""Teachers: stored embeddings, and networks of every format that look at the images once."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytestmark = pytest.mark.trainer
keras = pytest.importorskip("keras", reason="needs Keras")

from edge_reid.core.bundled_models import shipped_model  # noqa: E402
from edge_reid.core.errors import ConfigError, TrainingError  # noqa: E402
from edge_reid.vision.embed import Embedder  # noqa: E402
from trainer.data.decoded_crops import read_image  # noqa: E402
from trainer.recipe.recipe import Recipe, Teacher, make_recipe  # noqa: E402
from trainer.teacher import stored_teacher as teacher  # noqa: E402
from trainer.teacher.online_teacher import open_online  # noqa: E402
from trainer.teacher.stored_teacher import find_teachers, load_stored  # noqa: E402
from trainer.teacher.teacher_space import into_space, principal_directions  # noqa: E402

SHIPPED = "person_reid_mobilenetv2_192x96_int8.tflite"
SIZE = (12, 6)


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = []
    for index in range(5):
        paths.append(tmp_path / "people" / f"person{index % 2}" / f"{index}.png")
        paths[-1].parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(paths[-1]), rng.integers(0, 256, (*SIZE, 3), np.uint8))
    return paths


def recipe_with(asked: object) -> Recipe:
    return make_recipe(
        {
            "sources": [{"path": "p"}],
            "stages": [{"height_px": 32, "width_px": 32, "epochs": 1}],
            "losses": {"regression": 1.0},
            "teacher": asked,
        }
    )


def store(file: Path, names: list[str], dimension: int = 3) -> np.ndarray:
    rows = np.random.default_rng(1).normal(size=(len(names), dimension))
    np.savez(file, names=np.array([n.encode() for n in names]), emb=rows.astype(np.float16))
    return unit(rows)


def test_stored_rows_belong_to_paths_that_end_with_their_names(
    images: list[Path], tmp_path: Path
) -> None:
    file = tmp_path / "t.npz"
    expected = store(file, [f"person{i % 2}/{i}.png" for i in (3, 0, 1, 2, 4)])
    found = find_teachers(recipe_with(str(file)), images, tmp_path)
    assert np.allclose(found.rows, expected[[1, 2, 3, 0, 4]], atol=1e-3)
    assert found.dimension == 3
    assert not found.missing


def test_images_that_a_stored_teacher_misses_are_counted_and_named(
    images: list[Path], tmp_path: Path
) -> None:
    store(tmp_path / "t.npz", ["person0/0.png", "person1/3.png"])
    found = load_stored(tmp_path / "t.npz", images)
    assert found.missing == tuple(images[i] for i in (1, 2, 4))
    assert not found.rows[[1, 2, 4]].any()
    assert "3 of 5 images" in found.remark()
    assert str(images[1]) in found.remark()


def test_a_stored_teacher_that_is_none(images: list[Path], tmp_path: Path) -> None:
    file = tmp_path / "t.npz"
    store(file, ["elsewhere/0.jpg"])
    with pytest.raises(TrainingError, match="none of its names .like elsewhere/0.jpg. ends"):
        load_stored(file, images)
    file.write_bytes(b"PK nothing")
    with pytest.raises(TrainingError, match="expected an .npz with `names` and `emb`"):
        load_stored(file, images)
    np.savez(file, names=np.array([b"0.png"]), emb=np.zeros((1, 3)))
    with pytest.raises(TrainingError, match=r"finite length, that of .*0.png is not"):
        load_stored(file, images)
    np.savez(file, names=np.array([b"0.png"]), emb=np.zeros(3))
    with pytest.raises(TrainingError, match=r"an embedding \(T,\) for each name"):
        load_stored(file, images)


def test_a_loss_that_needs_a_teacher_says_so(images: list[Path], tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="losses regression: expected a teacher"):
        find_teachers(recipe_with(None), images, tmp_path)


def test_our_own_tflite_as_a_teacher(images: list[Path], tmp_path: Path) -> None:
    """It is fed by the device's own code, and its answers are in the run's folder then."""
    model = shipped_model(SHIPPED)
    found = find_teachers(recipe_with({"path": str(model), "mirror": False}), images, tmp_path)
    expected = Embedder(model).embed([read_image(path) for path in images])
    assert np.sum(found.rows * expected, axis=1) == pytest.approx(1.0, abs=1e-4)
    with np.load(tmp_path / teacher.COMPUTED) as stored:
        assert stored["names"].tolist() == [f"{i}.png".encode() for i in range(5)]
    with pytest.raises(TrainingError, match="its manifest says how it is fed"):
        find_teachers(recipe_with({"path": str(model), "mean": 1.0}), images, tmp_path)


def test_a_shipped_model_is_a_teacher_by_its_name(images: list[Path], tmp_path: Path) -> None:
    """The name stands in the recipe, which is as good elsewhere."""
    name = SHIPPED.removesuffix(".tflite")
    recipe = recipe_with(name)
    assert recipe.teachers[0].path == Path(name)
    found = find_teachers(recipe, images[:1], tmp_path)
    same = find_teachers(recipe_with(str(shipped_model(SHIPPED))), images[:1], images[0].parent)
    assert np.array_equal(found.rows, same.rows)
    with pytest.raises(
        TrainingError, match=r'teacher: expected a file or the name .* got "some"; '
    ):
        find_teachers(recipe_with("some"), images, tmp_path)


MEAN, STD = (10.0, 20.0, 30.0), (50.0, 60.0, 70.0)


def normalised(path: Path, channel_order: str = "bgr") -> np.ndarray:
    """What the small networks below are to be fed: their answer is linear in it."""
    image = read_image(path).astype(np.float32)
    image = image[..., ::-1] if channel_order == "bgr" else image
    return (image - MEAN) / STD


def expected_rows(images: list[Path], kernel: np.ndarray, *, mirror: bool) -> np.ndarray:
    def row(image: np.ndarray) -> np.ndarray:
        return unit(image.transpose(2, 0, 1).reshape(-1) @ kernel)

    straight = np.array([row(normalised(path)) for path in images])
    if not mirror:
        return straight
    return unit(straight + np.array([row(normalised(path)[:, ::-1]) for path in images]))


KERNEL = np.random.default_rng(2).normal(size=(3 * SIZE[0] * SIZE[1], 7)).astype(np.float32)


def make_onnx(file: Path, *, open_size: bool = False, pixels: bool = False) -> None:
    """(B, 3, H, W) → two outputs, of which one is the embedding."""
    onnx = pytest.importorskip("onnx")
    from onnx import helper

    size = ["h", "w"] if open_size else list(SIZE)
    kind = onnx.TensorProto.UINT8 if pixels else onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["real"], to=onnx.TensorProto.FLOAT),
            helper.make_node("Flatten", ["real"], ["flat"]),
            helper.make_node("MatMul", ["flat", "kernel"], ["embedding"]),
        ],
        "small",
        [helper.make_tensor_value_info("image", kind, ["batch", 3, *size])],
        [
            helper.make_tensor_value_info("flat", onnx.TensorProto.FLOAT, None),
            helper.make_tensor_value_info("embedding", onnx.TensorProto.FLOAT, ["batch", 7]),
        ],
        [onnx.numpy_helper.from_array(KERNEL, "kernel")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(made, file)


def keras_network() -> Any:
    image = keras.Input((*SIZE, 3))
    x = keras.layers.Flatten()(keras.layers.Permute((3, 1, 2))(image))
    dense = keras.layers.Dense(7, use_bias=False)
    network = keras.Model(image, dense(x))
    dense.set_weights([KERNEL])
    return network


def make_keras(file: Path) -> None:
    keras_network().save(file)


def make_tflite(file: Path) -> None:
    tf = pytest.importorskip("tensorflow", reason="the converter is TensorFlow's")

    @tf.function(input_signature=[tf.TensorSpec((1, *SIZE, 3), tf.float32)])
    def embed(image: Any) -> Any:
        return tf.reshape(tf.transpose(image, (0, 3, 1, 2)), (1, -1)) @ KERNEL

    converter = tf.lite.TFLiteConverter.from_concrete_functions([embed.get_concrete_function()])
    file.write_bytes(converter.convert())


MAKERS = {".onnx": make_onnx, ".keras": make_keras, ".tflite": make_tflite}


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("mirror", [False, True])
def test_a_network_sees_what_the_recipe_says(
    kind: str, mirror: bool, images: list[Path], tmp_path: Path
) -> None:
    file = tmp_path / f"net{kind}"
    MAKERS[kind](file)
    asked = {"path": str(file), "channel_order": "bgr", "mean": MEAN, "std": STD}
    asked |= {"mirror": mirror} | ({"output": "embedding"} if kind == ".onnx" else {})
    found = find_teachers(recipe_with(asked), images, tmp_path)
    assert np.allclose(found.rows, expected_rows(images, KERNEL, mirror=mirror), atol=2e-3)


def test_to_go_on_needs_no_teacher(images: list[Path], tmp_path: Path) -> None:
    file = tmp_path / "net.keras"
    make_keras(file)
    recipe = recipe_with(str(file))
    first = find_teachers(recipe, images, tmp_path)
    file.unlink()
    again = find_teachers(Recipe.model_validate_json(recipe.model_dump_json()), images, tmp_path)
    assert np.array_equal(first.rows, again.rows)
    with pytest.raises(TrainingError, match="net.keras: no such file"):  # asked otherwise
        find_teachers(recipe_with({"path": str(file), "mirror": False}), images, tmp_path)


def test_images_of_one_name_are_told_apart_by_their_folders(
    images: list[Path], tmp_path: Path
) -> None:
    twin = images[0].parent.parent / "person9" / images[0].name
    twin.parent.mkdir()
    shutil.copy(images[1], twin)
    file = tmp_path / "net.keras"
    make_keras(file)
    found = find_teachers(recipe_with(str(file)), [*images, twin], tmp_path)
    assert np.allclose(found.rows[5], found.rows[1], atol=1e-3)
    assert not np.allclose(found.rows[5], found.rows[0], atol=1e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "expected output: one of flat, embedding, got none named"),
        ({"output": "logits"}, "expected output: one of flat, embedding, got logits"),
        ({"output": "embedding", "size": (9, 9)}, r"the file takes \[12, 6\]; leave size out"),
        ({"output": "embedding", "mean": float("inf")}, "not finite or all zero; check mean"),
    ],
)
def test_a_network_that_cannot_be_used(
    changes: dict[str, Any], message: str, images: list[Path], tmp_path: Path
) -> None:
    file = tmp_path / "net.onnx"
    make_onnx(file)
    with pytest.raises(TrainingError, match=message):
        find_teachers(recipe_with(Teacher(path=file, **changes)), images, tmp_path)


def test_a_network_of_any_size_must_be_told_one(images: list[Path], tmp_path: Path) -> None:
    file = tmp_path / "net.onnx"
    make_onnx(file, open_size=True)
    asked = {"path": str(file), "output": "embedding"}
    with pytest.raises(TrainingError, match="takes pictures of any size; say which"):
        find_teachers(recipe_with(asked), images, tmp_path)
    assert find_teachers(recipe_with(asked | {"size": SIZE}), images, tmp_path).dimension == 7


def test_a_network_that_takes_whole_pixels_is_given_them(
    images: list[Path], tmp_path: Path
) -> None:
    file = tmp_path / "net.onnx"
    make_onnx(file, pixels=True)
    asked = {"path": str(file), "output": "embedding", "mirror": False}
    found = find_teachers(recipe_with(asked), images, tmp_path)
    flat = np.array([read_image(p).transpose(2, 0, 1).reshape(-1) for p in images])
    assert np.allclose(found.rows, unit(flat @ KERNEL), atol=2e-3)
    with pytest.raises(TrainingError, match="takes pixels 0..255 as uint8; leave mean and std"):
        find_teachers(recipe_with(asked | {"std": 255.0}), images, tmp_path)


@pytest.mark.parametrize("name", ["broken.onnx", "broken.keras", "broken.tflite", "broken.pt"])
def test_a_file_that_is_no_network(name: str, images: list[Path], tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"not a network")
    with pytest.raises(TrainingError, match=f"{name}: (cannot be loaded|expected)"):
        find_teachers(recipe_with(str(tmp_path / name)), images, tmp_path)


def test_several_teachers_are_joined_and_a_picture_one_does_not_know_learns_from_none(
    images: list[Path], tmp_path: Path
) -> None:
    names = [f"{i}.png" for i in range(5)]
    one = store(tmp_path / "one.npz", names)
    other = store(tmp_path / "other.npz", names[:4], dimension=5)
    asked = [str(tmp_path / "one.npz"), {"path": str(tmp_path / "other.npz")}]
    found = find_teachers(recipe_with(asked), images, tmp_path)
    assert found.rows.shape == (5, 8)
    assert found.missing == (images[4],)
    assert not found.rows[4].any()
    cosines = (one[:4] @ one[:4].T + other @ other.T) / 2
    assert np.allclose(found.rows[:4] @ found.rows[:4].T, cosines, atol=2e-3)


def test_one_teacher_may_lie_in_several_files_and_in_bytes(
    images: list[Path], tmp_path: Path
) -> None:
    first = store(tmp_path / "first.npz", ["0.png", "1.png"])
    second = unit(np.random.default_rng(5).normal(size=(3, 3)))
    rounded = np.rint(127 * second).astype(np.int8)
    names = np.array([b"2.png", b"3.png", b"4.png"])
    np.savez(tmp_path / "second.npz", names=names, emb_int8=rounded)
    asked = {"path": str(tmp_path / "first.npz"), "more": [str(tmp_path / "second.npz")]}
    found = find_teachers(recipe_with(asked), images, tmp_path)
    assert np.allclose(found.rows, np.concatenate([first, second]), atol=0.01)
    assert np.linalg.norm(found.rows, axis=1) == pytest.approx(1.0)
    store(tmp_path / "second.npz", ["2.png"], dimension=4)
    with pytest.raises(TrainingError, match="files of one teacher, got embeddings of different"):
        find_teachers(recipe_with(asked), images, tmp_path)


def test_principal_directions_keep_the_cosines_that_a_plane_can() -> None:
    rng = np.random.default_rng(3)
    flat = unit(rng.normal(size=(50, 4)) @ rng.normal(size=(4, 9))).astype(np.float32)
    directions = principal_directions(flat, 4)
    assert np.allclose(
        into_space(flat, directions) @ into_space(flat, directions).T, flat @ flat.T, atol=1e-5
    )
    with pytest.raises(TrainingError, match="teachers of 12 numbers or more"):
        principal_directions(flat, 12)


def make_openvino(file: Path) -> None:
    """(?, 3, H, W) BGR → embedding; the batch is left open, as converters leave it."""
    openvino = pytest.importorskip("openvino")
    from openvino import opset8 as ops

    image = ops.parameter(openvino.PartialShape([-1, 3, *SIZE]), np.float32, name="image")
    flat = ops.reshape(image, ops.constant(np.array([0, -1])), special_zero=True)
    embedding = ops.matmul(flat, ops.constant(KERNEL), False, False)
    openvino.save_model(openvino.Model([embedding], [image]), file, compress_to_fp16=False)


@pytest.mark.parametrize("mirror", [False, True])
def test_a_network_in_openvino_s_format(mirror: bool, images: list[Path], tmp_path: Path) -> None:
    file = tmp_path / "net.xml"
    make_openvino(file)
    asked = {"path": str(file), "channel_order": "bgr", "mean": MEAN, "std": STD, "mirror": mirror}
    found = find_teachers(recipe_with(asked), images, tmp_path)
    assert np.allclose(found.rows, expected_rows(images, KERNEL, mirror=mirror), atol=2e-3)
    file.with_suffix(".bin").unlink()
    with pytest.raises(TrainingError, match=r"net.xml: cannot be loaded"):
        find_teachers(recipe_with(asked | {"output": "x"}), images, tmp_path)


def test_a_teacher_asked_online_sees_the_very_views(images: list[Path], tmp_path: Path) -> None:
    file = tmp_path / "net.keras"
    make_keras(file)
    asked = {"path": str(file), "mirror": False, "online": True}
    recipe = recipe_with([asked, asked])
    assert find_teachers(recipe, images, tmp_path).dimension == 1  # nothing is said beforehand
    online = open_online(recipe)
    assert online is not None
    views = np.random.default_rng(4).integers(0, 256, (40, *SIZE, 3), np.uint8)
    flat = views.transpose(0, 3, 1, 2).reshape(40, -1).astype(np.float32)
    one = unit(flat @ KERNEL)
    assert np.allclose(online(views), np.concatenate([one, one], axis=1) / np.sqrt(2), atol=1e-4)
    with pytest.raises(ConfigError, match="all of them online or none"):
        recipe_with([asked, str(file)])


def test_cameras_are_taken_out_of_stored_answers_alone() -> None:
    settings: dict[str, Any] = {
        "sources": [{"path": "data"}],
        "stages": [{"height_px": 64, "width_px": 32, "epochs": 1}],
        "targets": {"camera": 1.0},
        "losses": {"regression": 1},
    }
    with pytest.raises(ConfigError, match="targets: expected stored answers .*, got teachers that"):
        make_recipe(settings | {"teacher": {"path": "t.keras", "online": True}})
    with pytest.raises(ConfigError, match="targets: expected stored answers .*, got no teacher"):
        make_recipe(settings | {"losses": {"triplet": {}}})
    assert make_recipe(settings | {"teacher": "t.keras"}).targets.camera == 1.0


def test_answers_move_to_nobody_where_everybody_is_held_out() -> None:
    settings: dict[str, Any] = {
        "sources": [{"path": "data"}],
        "stages": [{"height_px": 64, "width_px": 32, "epochs": 1}],
        "teacher": "t.keras",
        "unlabelled": [{"path": "passers-by"}],
        "hold_out": "everybody",
        "losses": {"regression": 1},
    }
    assert make_recipe(settings | {"targets": {"camera": 0.5}}).targets.camera == 0.5
    with pytest.raises(ConfigError, match="targets identity: expected labelled pictures"):
        make_recipe(settings | {"targets": {"identity": 0.5}})


@pytest.mark.parametrize(
    ("online", "losses", "got"),
    [
        (False, {"regression": 1}, "none asked online"),
        (True, {"regression": 1, "triplet": 1}, "losses triplet, which compare people"),
    ],
)
def test_only_teachers_asked_online_know_what_a_blend_is(
    online: bool, losses: dict[str, float], got: str
) -> None:
    settings: dict[str, Any] = {
        "sources": [{"path": "data"}],
        "stages": [{"height_px": 64, "width_px": 32, "epochs": 1}],
        "teacher": {"path": "t.keras", "online": online},
        "augment": {"blend": 0.2},
    }
    with pytest.raises(ConfigError, match=f"augment blend: expected teachers asked online .*{got}"):
        make_recipe(settings | {"losses": losses})
    assert make_recipe(settings | {"losses": losses, "augment": {}}).augment.blend == 0
