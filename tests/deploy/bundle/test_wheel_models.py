"""Which shipped models are in the wheel of a bundle: those that its site names, and detectors."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pytest
from support import installed_wheels
from support import small_wheels as wheels

from deploy.bundle.wheel import read_wheel
from deploy.bundle.wheel_models import models_inside, wheel_for_site
from edge_reid.core.bundled_models import (
    DEFAULT_EMBEDDINGS,
    DETECTORS,
    EMBEDDING,
    EMBEDDINGS,
    OPEN_EMBEDDING,
    shipped_model,
)
from edge_reid.core.errors import BundleError, ModelError
from edge_reid.signing.keys import SigningKey
from edge_reid.signing.model_signature import is_signed

MODELS = PurePosixPath("edge_reid/models")


def files_in(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize("embeddings", [[EMBEDDING], [OPEN_EMBEDDING], DEFAULT_EMBEDDINGS, []])
def test_embedding_models_of_the_site_stay_and_all_detectors(
    whole_wheel: Path, tmp_path: Path, embeddings: Sequence[str]
) -> None:
    lean = files_in(installed_wheels.for_site(whole_wheel, embeddings, tmp_path))
    stay = [Path(name).stem for name in (*DETECTORS, *embeddings)]
    inside = {name for name in lean if PurePosixPath(name).parent == MODELS}
    assert inside == {
        f"{MODELS}/README.md",
        *(f"{MODELS}/{stem}.{kind}" for stem in stay for kind in ("tflite", "json", "md")),
    }
    whole = files_in(whole_wheel)
    record = next(name for name in whole if name.endswith("RECORD"))
    others = {name for name in whole if PurePosixPath(name).parent != MODELS}
    assert others == lean.keys() - inside
    assert [name for name in lean if lean[name] != whole[name]] == [record]


def test_the_record_lists_every_file_that_is_left_with_its_hash(
    whole_wheel: Path, tmp_path: Path
) -> None:
    key = SigningKey.generate()
    inside = files_in(installed_wheels.for_site(whole_wheel, [OPEN_EMBEDDING], tmp_path, key=key))
    record = next(name for name in inside if name.endswith(".dist-info/RECORD"))
    rows = {row[0]: row[1:] for row in csv.reader(io.StringIO(inside[record].decode()))}
    assert rows.pop(record) == ["", ""]
    assert rows == {name: listed(body) for name, body in inside.items() if name != record}


def test_every_model_that_stays_is_signed(whole_wheel: Path, tmp_path: Path) -> None:
    """And the wheel of another bundle has the signatures of who makes this one."""
    keys = [SigningKey.generate(), SigningKey.generate()]
    wheel = whole_wheel
    for number, key in enumerate(keys):
        folder = tmp_path / str(number)
        wheel = installed_wheels.for_site(wheel, DEFAULT_EMBEDDINGS, folder, key=key)
        again = installed_wheels.for_site(wheel, DEFAULT_EMBEDDINGS, folder / "again", key=key)
        assert again.read_bytes() == wheel.read_bytes()
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
        models = {model.name for model in (folder / MODELS).glob("*.tflite")}
        assert models == {*DETECTORS, *DEFAULT_EMBEDDINGS}
        assert all(is_signed(folder / MODELS / model, key.public) for model in models)
    unsigned = files_in(installed_wheels.for_site(wheel, [EMBEDDING], tmp_path))
    assert not [name for name in unsigned if name.endswith(".sig")]


def listed(body: bytes) -> list[str]:
    digest = base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=").decode()
    return [f"sha256={digest}", str(len(body))]


def test_the_same_sources_give_the_same_bytes(whole_wheel: Path, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    again = installed_wheels.build(tmp_path / "again")
    one, other = (
        installed_wheels.for_site(wheel, [OPEN_EMBEDDING], tmp_path / str(number)).read_bytes()
        for number, wheel in enumerate((whole_wheel, again))
    )
    assert one == other


def test_what_is_inside_is_said_by_its_manifests(whole_wheel: Path) -> None:
    assert models_inside(read_wheel(whole_wheel)).keys() == {*DETECTORS, *EMBEDDINGS}


def test_a_wheel_without_models_stays_as_it_is(tmp_path: Path) -> None:
    given = read_wheel(wheels.own(tmp_path))
    with wheel_for_site(given, [EMBEDDING]) as same:
        assert same is given


def test_a_wheel_without_the_model_of_the_site_is_refused(
    whole_wheel: Path, tmp_path: Path
) -> None:
    """Such as one that was taken out of a bundle."""
    lean = installed_wheels.for_site(whole_wheel, [OPEN_EMBEDDING], tmp_path)
    with pytest.raises(BundleError) as caught:
        installed_wheels.for_site(lean, [EMBEDDING], tmp_path / "leaner")
    assert str(caught.value) == (
        f"wheel {lean}: expected the site's embedding model {EMBEDDING} in it, got "
        f"{OPEN_EMBEDDING}; give the wheel of this release, or a path as embedding in "
        "[agent.models]"
    )
    again = installed_wheels.for_site(lean, [OPEN_EMBEDDING], tmp_path / "again")
    assert again.read_bytes() == lean.read_bytes()


@pytest.mark.parametrize("name", [f"{MODELS}/{OPEN_EMBEDDING}", "edge_reid/cli/main.py"])
def test_a_damaged_wheel_is_one_line(whole_wheel: Path, tmp_path: Path, name: str) -> None:
    damaged = Path(shutil.copy(whole_wheel, tmp_path))
    with zipfile.ZipFile(damaged) as archive:
        item = archive.getinfo(name)
    body = bytearray(damaged.read_bytes())
    body[item.header_offset + len(name) + item.compress_size // 2] ^= 1
    damaged.write_bytes(body)
    with pytest.raises(BundleError, match="expected a wheel, it is damaged: .*; build it anew"):
        installed_wheels.for_site(damaged, [OPEN_EMBEDDING], tmp_path / "lean")


def test_a_wheel_that_is_encrypted_is_one_line(whole_wheel: Path, tmp_path: Path) -> None:
    damaged = tmp_path / whole_wheel.name
    body = bytearray(whole_wheel.read_bytes())
    name = body.index(b"edge_reid/models/", body.index(b"PK\x01\x02"))
    body[name - 46 + 8] |= 1  # of the entry in the directory at its end: encrypted
    damaged.write_bytes(body)
    with pytest.raises(BundleError, match="expected a wheel, it is damaged: .*encrypted"):
        installed_wheels.for_site(damaged, [OPEN_EMBEDDING], tmp_path / "lean")


@pytest.mark.parametrize(
    ("brings", "complaint"),
    [
        ({"x.tflite": b"x"}, "expected edge_reid/models/x.json in it, got none"),
        ({"x.tflite": b"x", "x.json": b"{}"}, "x.json: not a valid manifest"),
        (
            {"x.tflite": b"x", "x.json": shipped_model(EMBEDDING).with_suffix(".json")},
            "edge_reid/models/x.tflite is not the model that its manifest says",
        ),
    ],
)
def test_a_model_without_a_true_manifest_is_refused(
    tmp_path: Path, brings: dict[str, bytes | Path], complaint: str
) -> None:
    inside = {
        f"{MODELS}/{name}": body.read_bytes() if isinstance(body, Path) else body
        for name, body in brings.items()
    }
    wheel = read_wheel(wheels.make_wheel(tmp_path, "edge-reid", "0.1.0", brings=inside))
    with pytest.raises((BundleError, ModelError), match=complaint):
        models_inside(wheel)
