"""What a power cut has spoilt of a device's state is as if it were not there: updates go on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_reid.core.errors import BundleError
from edge_reid.release.device import Attempt, Device, check_newer
from edge_reid.release.release_head import ReleaseHead, TargetRelease
from edge_reid.release.soak import Watch
from edge_reid.release.updater import _last as last_report
from edge_reid.wire.payloads import DeviceUpdate

HEAD = ReleaseHead(
    site="lab",
    serial=5,
    version="1.1",
    targets={"pi-trixie": TargetRelease(manifest_sha256="0" * 64, manifest_bytes=1, size_bytes=1)},
    groups=(),
    soak_s=0,
    created_utc_s=0,
    key_id="k",
)
REPORT = DeviceUpdate(
    site="lab",
    agent="gate-1",
    release="1.1",
    target="pi-trixie",
    serial=5,
    wanted="1.1",
    state="current",
    reason=None,
    since="2026-03-01T12:00:00.000Z",
    at="2026-03-01T12:00:00.000Z",
)
SPOILT = [b"", b"\x00" * 64, b'{"serial": 5, "ver', b'"text"', b"[]", b"[1]", b'{"serial": {}}']
"""Empty, its length without its bytes, cut off, and JSON that says something else."""


@pytest.fixture
def device(tmp_path: Path) -> Device:
    (tmp_path / "opt/edge-reid").mkdir(parents=True)
    (tmp_path / "var/lib/edge-reid-update").mkdir(parents=True)
    return Device(tmp_path)


def lines(caplog: pytest.LogCaptureFixture, path: Path) -> int:
    return sum(record.getMessage().startswith(f"{path}: ") for record in caplog.records)


@pytest.mark.parametrize("spoilt", SPOILT)
def test_a_spoilt_attempt_is_none(
    device: Device, caplog: pytest.LogCaptureFixture, spoilt: bytes
) -> None:
    path = device.home / "update.json"
    path.write_bytes(spoilt)
    assert device.attempt is None
    assert lines(caplog, path) == 1
    check_newer(HEAD, "lab", device, least_serial=0)
    device.record(Attempt(6, "1.2", "", 1))
    assert device.attempt == Attempt(6, "1.2", "", 1)
    with pytest.raises(BundleError, match="serial 5 was published before serial 6"):
        check_newer(HEAD, "lab", device, least_serial=0)


@pytest.mark.parametrize("spoilt", [*SPOILT[:-1], b'{"1.1": 5}', b'{"1.1": {"cuts": 2}}'])
def test_spoilt_refusals_are_none(
    device: Device, caplog: pytest.LogCaptureFixture, spoilt: bytes
) -> None:
    path = device.home / "refused.json"
    path.write_bytes(spoilt)
    assert device.taken_back("1.1") == ""
    assert lines(caplog, path) == 1


def test_a_refusal_is_told_and_no_other(device: Device, caplog: pytest.LogCaptureFixture) -> None:
    entries = {
        "1.1": {"reason": "it does not start", "cuts": 2, "at_utc_s": 1},
        "1.2": {"reason": "the power went", "cuts": 1, "at_utc_s": 1},
    }
    (device.home / "refused.json").write_text(json.dumps(entries))
    refused = [device.taken_back(version) for version in ("1.1", "1.2", "1.3")]
    assert refused == ["it does not start", "", ""]
    assert caplog.records == []


@pytest.mark.parametrize("spoilt", SPOILT)
def test_a_spoilt_soak_begins_anew(
    device: Device, caplog: pytest.LogCaptureFixture, spoilt: bytes
) -> None:
    device.soak_file.write_bytes(spoilt)
    reports = {"gate-1": REPORT}
    assert Watch(device.soak_file).look(HEAD, reports, 1000.0) == {"gate-1": 0}
    assert lines(caplog, device.soak_file) == 1
    assert Watch(device.soak_file).look(HEAD, reports, 1600.0) == {"gate-1": 600}
    assert lines(caplog, device.soak_file) == 1


@pytest.mark.parametrize("spoilt", SPOILT)
def test_a_spoilt_report_is_none(
    device: Device, caplog: pytest.LogCaptureFixture, spoilt: bytes
) -> None:
    device.report_file.write_bytes(spoilt)
    assert last_report(device) is None
    assert lines(caplog, device.report_file) == 1
    device.report_file.write_text(REPORT.to_json())
    assert last_report(device) == REPORT
