"""What goes wrong around the change of a device to the embedding model of another gallery."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.following_device import NEW, OLD, Desk, FollowingCamera, installed, model_id

from edge_reid.gallery.replica import Replica

pytestmark = [pytest.mark.e2e, pytest.mark.broker, pytest.mark.timeout(600)]

OLD_NAME, NEW_NAME = Path(OLD).stem, Path(NEW).stem


def test_a_damaged_model_is_passed_over_until_it_is_whole_again(
    device: FollowingCamera,
    desk: Desk,
    enrolled: dict[str, Path],
    somebody: str,
    tmp_path: Path,
) -> None:
    program = tmp_path / "program"
    model = installed(program) / NEW
    desk.publish(enrolled[OLD])
    with device.running(program=program):
        device.await_status(model_id=model_id(OLD), gallery_version=1)
        desk.publish(enrolled[NEW])
        device.await_status(model_id=model_id(NEW), gallery_version=2)
    whole = model.read_bytes()
    model.write_bytes(whole[:-100])
    with device.running(program=program):
        device.await_refusal("its manifest expects sha256")
        device.await_status(model_id=model_id(OLD), gallery_version=1, refused=device.refused)
        device.await_hit(somebody, OLD)
        assert device.log.count(f"gallery version 2 on this disk: model {model}: its manifest") == 1
        assert device.log.count(str(model)) == 1
        assert device.log.count("(version 1, kept from before, is used)") == 1
        assert device.log.count(f"the default, {NEW_NAME}, is taken once") == 1, "not now"
        model.write_bytes(whole)
        device.await_hit(somebody, NEW)
    model.write_bytes(whole[:-100])
    with Replica.open(device.folder / "replica.db") as replica:
        replica.purge(keep_s=0, now_utc_s=time.time() + 1)
    left = subprocess.run(
        [sys.executable, "-m", "edge_reid", "run", "--quiet", "--config", device.config],
        env=os.environ | {"PYTHONPATH": str(program)},
        cwd=device.folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert left.returncode == 1
    assert left.stderr.endswith("…; restore the file, or install edge-reid anew\n")
    assert len(left.stderr.splitlines()) == 1
