"""`edge-reid bundle unpack`: for whoever installs by hand."""

from __future__ import annotations

import resource
import stat
from pathlib import Path

import pytest
from support import forgeries
from support import small_bundles as bundles
from support.flashing import edge_reid
from support.forgeries import files_below
from support.small_bundles import CONTENTS, KEY


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    KEY.write(tmp_path / "keys", "release")
    return bundles.write(tmp_path / "gate-1.tar.zst")


def unpack(bundle: Path, *words: object):
    key = bundle.parent / "keys/release-signing.pub"
    out = bundle.parent / "gate-1"
    return edge_reid("bundle", "unpack", bundle, "--public-key", key, "--out", out, *words)


def test_what_was_signed_lies_in_the_folder(bundle: Path):
    done = unpack(bundle)
    assert done.code == 0, done.err
    assert f"whole, signed by {KEY.public.key_id}: release 1.0 for device gate-1" in done.out
    folder = bundle.parent / "gate-1"
    found = files_below(folder)
    assert {f"edge-reid-bundle/{name}": body for name, body in found.items()} == (
        forgeries.signed_files(bundle)
    )
    assert found["install/install.py"] == CONTENTS["install/install.py"].source
    assert stat.S_IMODE((folder / "config/secrets/agent.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700, "the manifest has the hashes of secrets"


def test_what_was_not_signed_makes_no_folder(bundle: Path):
    forgeries.with_tar(bundle, forgeries.read_differently(forgeries.tar_of(bundle)))
    done = unpack(bundle)
    assert done.code == 1
    assert "it is forged" in done.complaint
    assert sorted(it.name for it in bundle.parent.iterdir()) == ["gate-1.tar.zst", "keys"]


def test_a_folder_that_is_there_stays_as_it_is(bundle: Path):
    (bundle.parent / "gate-1").mkdir()
    assert "expected a folder to make, it is there already" in unpack(bundle).complaint
    assert list((bundle.parent / "gate-1").iterdir()) == []


def test_no_room_is_said_and_leaves_nothing(bundle: Path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        done = unpack(bundle)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "gate-1: cannot be written: File too large; give another, or make" in done.complaint
    assert sorted(it.name for it in bundle.parent.iterdir()) == ["gate-1.tar.zst", "keys"]
