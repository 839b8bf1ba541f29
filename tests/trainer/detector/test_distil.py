"""The command says in a line what it cannot use."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.trainer
command = pytest.importorskip("trainer.detector.distil", reason="needs TensorFlow")

from support.campus import CLIP  # noqa: E402


def complaint(*arguments: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        command.main(list(arguments))
    return str(stopped.value)


def test_what_is_no_ir_and_what_is_no_video_are_told(tmp_path: Path) -> None:
    out = tmp_path / "taught.tflite"
    said = complaint(
        str(tmp_path / "no.xml"), "--frames", str(CLIP), "--most", "1", "--out", str(out)
    )
    assert said.startswith("error: ")
    assert "expected an OpenVINO IR with its .bin beside it" in said
    said = complaint(
        str(tmp_path / "no.xml"), "--frames", str(tmp_path / "no.mp4"), "--out", str(out)
    )
    assert "no.mp4: expected a video, a picture or a folder" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["0", "-1", "many"])
def test_a_count_is_from_one_on(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["net.xml", "--frames", "x", "--out", "y", f"--steps={text}"])
    assert f"expected a number from 1 on, got {text}" in capsys.readouterr().err
