"""The installer, which stands alone, and the programs of a device look in the same files."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import real_bundles

from edge_reid.release import device_files
from edge_reid.release.device import Device

with pytest.MonkeyPatch.context() as patch:  # for this file only: an `install` is there as well
    patch.syspath_prepend(real_bundles.DEPLOY / "install")
    import journal
    from device_paths import DevicePaths


def test_folders_and_files_are_where_the_installer_puts_them(tmp_path: Path) -> None:
    paths = DevicePaths(tmp_path)
    ours = {
        paths.home: device_files.HOME,
        paths.current: device_files.CURRENT,
        paths.config: device_files.CONFIG,
        paths.secrets: device_files.SECRETS,
        paths.name_file: device_files.NAME_FILE,
        paths.state: device_files.STATE,
    }
    assert ours == {tmp_path / name: name for name in ours.values()}


def test_what_the_journal_refuses_the_device_does_not_take(tmp_path: Path) -> None:
    assert journal.HOME == device_files.HOME
    assert journal.MOST_CUTS == device_files.MOST_CUTS
    assert journal.Journal(tmp_path)._refused_file == tmp_path / device_files.REFUSED_FILE


def test_systemd_watches_for_what_the_device_makes_ready() -> None:
    unit = (real_bundles.DEPLOY / "systemd/edge-reid-install.path").read_text()
    assert f"PathExists={Device().downloads.ready}\n" in unit
