"""torchvision's weights are read without torch, and can do nothing but be read."""

from __future__ import annotations

import collections
import io
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.bent_zips import unreadable_zips

pytestmark = pytest.mark.trainer
weights = pytest.importorskip("trainer.files.torch_file")

from edge_reid.core.errors import TrainingError  # noqa: E402
from trainer.network.backbone import BackboneConfig, build_backbone, freeze_below  # noqa: E402

VALUES = np.arange(24, dtype=np.float32)


class Global:
    """Pickles as a bare reference to `module.name`, which need not be importable."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class Call:
    """Pickles as a call of a `Global`, as torch writes its tensors."""

    def __init__(self, function: Global, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments


class Storage:
    pass


class TorchPickler(pickle._Pickler):  # the Python form, whose opcodes can be written by hand
    def persistent_id(self, obj: Any) -> Any:
        if isinstance(obj, Storage):
            return ("storage", Global("torch", "FloatStorage"), "0", "cpu", len(VALUES))
        return None

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        if isinstance(obj, Global):
            self.write(f"c{obj.module}\n{obj.name}\n".encode())
        elif isinstance(obj, Call):
            self.save(obj.function)
            self.save(obj.arguments)
            self.write(pickle.REDUCE)
        else:
            super().save(obj, save_persistent_id)


def pickled(value: Any) -> bytes:
    file = io.BytesIO()
    TorchPickler(file, protocol=2).dump(value)
    return file.getvalue()


def state_dict() -> bytes:
    """One tensor: 2×3 numbers of the storage from the 4th on, transposed in memory."""
    rebuild = Global("torch._utils", "_rebuild_tensor_v2")
    tensor = Call(rebuild, Storage(), 4, (2, 3), (1, 2), False, collections.OrderedDict())
    return pickled({"layer.weight": tensor})


EXPECTED = [[4, 6, 8], [5, 7, 9]]


def test_the_zip_format_is_read(tmp_path: Path) -> None:
    path = tmp_path / "new.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", state_dict())
        archive.writestr("model/data/0", VALUES.tobytes())
    assert weights.read_torch_state(path)["layer.weight"].tolist() == EXPECTED


def test_the_legacy_stream_is_read(tmp_path: Path) -> None:
    path = tmp_path / "old.pth"
    head = [pickled(v) for v in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    tail = [pickled(["0"]), struct.pack("<q", len(VALUES)), VALUES.tobytes()]
    path.write_bytes(b"".join([*head, state_dict(), *tail]))
    assert weights.read_torch_state(path)["layer.weight"].tolist() == EXPECTED


def test_a_file_that_would_run_something_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evil.pth"
    path.write_bytes(pickled(Call(Global("os", "system"), "true")))
    with pytest.raises(TrainingError, match="may not name os.system"):
        weights.read_torch_state(path)


def test_a_file_that_is_no_weights_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "no.pth"
    path.write_bytes(b"not weights at all")
    with pytest.raises(TrainingError, match="expected the weights of a torch state dict"):
        weights.read_torch_state(path)


def test_a_zip_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("archive/data.pkl", state_dict())
        packed.writestr("archive/data/0", VALUES.tobytes())
    for how, bent in unreadable_zips(body.getvalue()).items():
        path = tmp_path / f"{how}.pth"
        path.write_bytes(bent)
        with pytest.raises(TrainingError, match="expected the weights of a torch state dict"):
            weights.read_torch_state(path)


@pytest.mark.parametrize("kept", [len(VALUES.tobytes()) - 8, 0])
def test_a_tensor_never_reaches_past_what_was_read(tmp_path: Path, kept: int) -> None:
    """The last number of the tensor is the 10th of 24: cut at 22 all is there, at 0 nothing is."""
    path = tmp_path / "cut.pth"
    head = [pickled(v) for v in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    tail = [pickled(["0"]), struct.pack("<q", len(VALUES)), VALUES.tobytes()[:kept]]
    path.write_bytes(b"".join([*head, state_dict(), *tail]))
    if kept:
        assert weights.read_torch_state(path)["layer.weight"].tolist() == EXPECTED
    else:
        with pytest.raises(TrainingError, match="reaches past the numbers that are there"):
            weights.read_torch_state(path)


def test_the_backbone_has_the_papers_shape_and_freezes_from_the_bottom() -> None:
    network = build_backbone(BackboneConfig(last_stride=1), 64, 32)
    assert network.output_shape == (None, 4, 2, 1280)
    assert network.count_params() == 2_257_984  # keras.applications' MobileNetV2 without its top
    freeze_below(network, 3)
    trained = {v.path.split("/")[-2].split("_")[0] for v in network.trainable_variables}
    assert trained.isdisjoint({"stem", "block1", "block2", "block3"})
    assert {"block4", "block17", "last"} <= trained
