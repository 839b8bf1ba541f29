import hashlib
import json
from pathlib import Path

import pytest

from edge_reid.core.errors import ModelError
from edge_reid.core.manifest import (
    DetectorManifest,
    EmbeddingManifest,
    load_detector_manifest,
    load_embedding_manifest,
    manifest_path,
    write_manifest,
)


def a_model(folder: Path, content: bytes = b"the model") -> Path:
    path = folder / "net.tflite"
    path.write_bytes(content)
    return path


def a_manifest(content: bytes = b"the model") -> EmbeddingManifest:
    return EmbeddingManifest(
        name="net",
        sha256=hashlib.sha256(content).hexdigest(),
        input_height_px=192,
        input_width_px=96,
        licence="Apache-2.0",
        source="a test",
        dimension=8,
        impostor_quantiles=((0.1, 0.3), (0.01, 0.5)),
    )


def test_what_is_written_is_read_back(tmp_path: Path):
    model = a_model(tmp_path)
    assert write_manifest(a_manifest(), model) == tmp_path / "net.json"
    assert load_embedding_manifest(model) == a_manifest()


def test_model_id_is_the_head_of_the_content_hash():
    assert a_manifest().model_id == hashlib.sha256(b"the model").hexdigest()[:16]


def test_the_same_file_fed_otherwise_is_another_model():
    shares = (0.0, 0.25, 0.5)
    ids = [a_manifest().model_copy(update={"grey_world": share}).model_id for share in shares]
    assert len(set(ids)) == 3
    assert ids[0] == a_manifest().model_id


def test_a_file_that_is_not_the_manifests_is_refused(tmp_path: Path):
    model = a_model(tmp_path)
    write_manifest(a_manifest(), model)
    model.write_bytes(b"the model, tampered with")
    with pytest.raises(ModelError, match="expects sha256 .* the file has"):
        load_embedding_manifest(model)


def test_a_detector_is_not_an_embedding_model(tmp_path: Path):
    model = a_model(tmp_path)
    write_manifest(a_manifest(), model)
    with pytest.raises(
        ModelError, match="expected a person detector, its manifest says 'embedding'"
    ):
        load_detector_manifest(model)


def test_missing_files_are_named(tmp_path: Path):
    with pytest.raises(ModelError, match=r"absent\.tflite: no such file"):
        load_embedding_manifest(tmp_path / "absent.tflite")
    with pytest.raises(ModelError, match=r"net\.json: no such file"):
        load_embedding_manifest(a_model(tmp_path))


def test_every_mistake_of_a_manifest_is_named(tmp_path: Path):
    model = a_model(tmp_path)
    table = json.loads(write_manifest(a_manifest(), model).read_text())
    table |= {"dimension": 0, "colour": "blue"}
    manifest_path(model).write_text(json.dumps(table))
    with pytest.raises(
        ModelError, match=r"dimension: expected a number greater.*colour: unknown key"
    ):
        load_embedding_manifest(model)


def test_a_detector_manifest_needs_scores():
    fields = {"name": "d", "sha256": "0" * 64, "input_height_px": 288, "input_width_px": 512}
    with pytest.raises(ValueError, match="strong_score"):
        DetectorManifest.model_validate(
            {**fields, "licence": "MIT", "source": "a test", "decoder": "yolox", "weak_score": 0.1}
        )


def test_a_manifest_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch):
    model = a_model(tmp_path)
    write_manifest(a_manifest(), model)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edge_reid.core.files.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_manifest(a_manifest().model_copy(update={"name": "another"}), model)
    assert load_embedding_manifest(model) == a_manifest()
    assert {path.name for path in tmp_path.iterdir()} == {"net.tflite", "net.json"}


@pytest.mark.parametrize(
    ("measured", "least"),
    [
        ((), None),
        (((0.5, 0.7), (0.1, 0.5)), (0.1, 0.5)),
        (((0.5, 0.7), (0.1, 0.5), (0.05, 0.4), (0.01, 0.2)), (0.05, 0.4)),
        (((0.01, 0.2),), (0.01, 0.2)),
    ],
)
def test_what_one_person_seldom_stays_below_is_no_rarer_for_more_people_measured(measured, least):
    manifest = a_manifest().model_copy(update={"genuine_quantiles": measured})
    assert manifest.least_genuine == least
