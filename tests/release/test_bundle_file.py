"""A bundle as a file: what was packed comes out, and nothing else is believed."""

from __future__ import annotations

import random
import resource
import stat
import tarfile
import tracemalloc
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from support import real_bundles
from support import small_bundles as bundles
from support.small_bundles import CONTENTS, KEY, Member

from deploy.bundle.bundle_writer import Content, listing, write_bundle
from edge_reid.core.errors import BundleError
from edge_reid.release.bundle_file import verify
from edge_reid.release.bundle_manifest import BundledFile, parse_manifest
from edge_reid.signing.keys import SigningKey

PUBLIC = KEY.public


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return bundles.write(tmp_path / "box.tar.zst")


def complaint_about(path: Path) -> str:
    with pytest.raises(BundleError) as caught:
        verify(path, PUBLIC)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_was_packed_comes_out(bundle: Path, tmp_path: Path):
    out = tmp_path / "unpacked"
    real_bundles.unpack(bundle, out)
    assert verify(bundle, PUBLIC) == bundles.manifest()
    for path, content in CONTENTS.items():
        assert (out / path).read_bytes() == content.source
    assert sum(it.is_file() for it in out.rglob("*")) == len(CONTENTS) + 2
    signature = bytes.fromhex((out / "manifest.sig").read_text())
    assert PUBLIC.signed(signature, (out / "manifest.json").read_bytes())


def test_secrets_are_their_owners_alone(bundle: Path, tmp_path: Path):
    out = tmp_path / "unpacked"
    real_bundles.unpack(bundle, out)
    assert stat.S_IMODE((out / "config/secrets/agent.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((out / "install/install.py").stat().st_mode) == 0o755
    assert stat.S_IMODE((out / "config/gate.toml").stat().st_mode) == 0o600
    assert stat.S_IMODE(bundle.stat().st_mode) == 0o600


@pytest.mark.parametrize("device", ["gate-1", None])
def test_a_bundle_is_its_owners_alone_whatever_is_in_it(tmp_path: Path, device: str | None):
    contents = {"config/gate-1/gate.toml": Content(b'password_hash = "scrypt$"')}
    path = tmp_path / "box.tar.zst"
    path.touch(0o644)
    write_bundle(path, bundles.manifest(contents, box=device), contents)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_same_content_gives_the_same_bytes(bundle: Path, tmp_path: Path):
    again = bundles.write(tmp_path / "again.tar.zst")
    assert again.read_bytes() == bundle.read_bytes()


def test_nothing_in_it_says_who_made_it_or_when(bundle: Path):
    for header, _ in bundles.members(bundle):
        assert (header.uid, header.gid, header.uname, header.gname, header.mtime) == (
            0,
            0,
            "",
            "",
            0,
        )


def test_zstd_and_tar_alone_can_read_it(bundle: Path):
    listed = [header.name for header, _ in bundles.members(bundle)]
    named = ["manifest.json", "manifest.sig", *sorted(CONTENTS)]
    assert listed == [f"edge-reid-bundle/{name}" for name in named]


def test_progress_ends_when_all_is_done(bundle: Path):
    told: list[tuple[int, int]] = []
    manifest = verify(bundle, PUBLIC, lambda done, total: told.append((done, total)))
    assert told[-1] == (manifest.size_bytes, manifest.size_bytes)
    assert len(told) == len(CONTENTS)


def test_a_bundle_that_nobody_signed_is_for_those_who_pin_no_key(tmp_path: Path):
    path = bundles.write(tmp_path / "box.tar.zst", key=None)
    assert verify(path, None).version == "1.0"
    assert "is not signed; make it with edge-reid bundle --key" in complaint_about(path)


def test_another_key_is_not_enough(tmp_path: Path):
    path = bundles.write(tmp_path / "box.tar.zst", key=SigningKey.generate())
    assert f"the signature is not of the pinned key {PUBLIC.key_id}" in complaint_about(path)


def with_content(name: str, content: bytes) -> object:
    def spoil(found: list[Member]) -> list[Member]:
        return [(it, content if it.name.endswith(name) else data) for it, data in found]

    return spoil


def without(name: str) -> object:
    return lambda found: [it for it in found if not it[0].name.endswith(name)]


def named(name: str, new: str, kind: bytes = tarfile.REGTYPE) -> object:
    def spoil(found: list[Member]) -> list[Member]:
        for header, _ in found:
            if header.name.endswith(name):
                header.name, header.type, header.linkname = new, kind, "/etc/passwd"
        return found

    return spoil


def with_one_more(found: list[Member]) -> list[Member]:
    return [*found, (tarfile.TarInfo("edge-reid-bundle/zz"), b"more")]


ESCAPE = "edge-reid-bundle/../../etc/passwd"
GATE = "edge-reid-bundle/config/gate.toml"


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (with_content("gate.toml", b'site = "xyz"\n'), "config/gate.toml: its content is not"),
        (with_content("gate.toml", b"short"), "config/gate.toml: expected 13 bytes, got 5"),
        (with_content("manifest.json", b"{}"), "the signature is not of the pinned key"),
        (with_content("manifest.sig", b"00" * 64), "the signature is not of the pinned key"),
        (with_content("manifest.sig", b"?"), "the signature is not of the pinned key"),
        (
            without("install.py"),
            "bundle/install/install.py, got 'edge-reid-bundle/whe",
        ),
        (
            without(".whl"),
            "wheels/large-1-py3-none-any.whl, it ends before",
        ),
        (with_one_more, "expected zeros at its end, got 'edge-reid-bundle/zz'"),
        (
            named("gate.toml", ESCAPE),
            f"expected the file {GATE}, got '{ESCAPE}'",
        ),
        (
            named("gate.toml", "/etc/passwd"),
            f"expected the file {GATE}, got '/etc",
        ),
        (
            named("gate.toml", GATE, tarfile.SYMTYPE),
            f"expected the file {GATE}, got",
        ),
        (
            named("gate.toml", GATE, tarfile.LNKTYPE),
            f"expected the file {GATE}, got",
        ),
        (
            named("gate.toml", GATE, tarfile.CHRTYPE),
            f"expected the file {GATE}, got",
        ),
        (lambda found: found[::-1], "bundle/manifest.json, got"),
        (lambda _: [], "expected edge-reid-bundle/manifest.json, it ends before"),
    ],
)
def test_what_was_changed_on_its_way_is_refused(bundle: Path, spoil, complaint: str):
    bundles.spoiled(bundle, spoil)
    assert complaint in complaint_about(bundle)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.98])
def test_a_bundle_that_is_cut_short_is_refused(bundle: Path, share: float):
    whole = bundle.read_bytes()
    bundle.write_bytes(whole[: int(len(whole) * share)])
    assert str(bundle) in complaint_about(bundle)


@pytest.mark.parametrize("body", [b"", b"PK\x03\x04 a zip", zstandard.compress(b"no tar" * 999)])
def test_something_else_is_said_to_be_none(tmp_path: Path, body: bytes):
    path = tmp_path / "box.tar.zst"
    path.write_bytes(body)
    assert "expected a bundle (tar.zst), it is damaged or something else" in complaint_about(path)


def test_a_file_that_is_not_there_is_said(tmp_path: Path):
    assert "cannot be read: No such file" in complaint_about(tmp_path / "none.tar.zst")


@settings(max_examples=100)
@given(st.integers(0, 10**9), st.binary(min_size=1, max_size=8))
def test_damage_anywhere_is_one_clear_refusal(
    tmp_path_factory: pytest.TempPathFactory, at: int, patch: bytes
):
    path = bundles.write(tmp_path_factory.getbasetemp() / "damaged.tar.zst")
    body = path.read_bytes()
    at %= len(body)
    changed = body[:at] + patch + body[at + len(patch) :]
    path.write_bytes(changed)
    try:
        manifest = verify(path, PUBLIC)
    except BundleError:
        return
    assert manifest == bundles.manifest()  # nothing that counts was changed


def test_a_bomb_takes_no_memory(bundle: Path):
    """A pax header: 64 MiB of it, a few kilobytes on the wire."""

    def spoil(found: list[Member]) -> list[Member]:
        found[2][0].pax_headers = {"comment": "x" * (64 << 20)}
        return found

    bundles.spoiled(bundle, spoil)
    assert bundle.stat().st_size < 100_000
    tracemalloc.start()
    assert "of type 'x'; it is forged" in complaint_about(bundle)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 32 << 20


def test_no_room_is_one_line_and_leaves_nothing(tmp_path: Path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(BundleError, match="cannot be written: File too large; make room"):
            write_bundle(
                tmp_path / "large.tar.zst",
                bundles.manifest(LARGE, box=None),
                LARGE,
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


LARGE = {"wheels/a.whl": Content(random.Random(1).randbytes(400_000))}


@pytest.mark.parametrize(
    "path",
    [
        "../x",
        "/etc/passwd",
        "a/../b",
        "a//b",
        "",
        ".hidden",
        "a\\b",
        "a\nb",
        "manifest.json",
        "a/.",
    ],
)
def test_a_manifest_lists_nothing_outside_the_bundle(path: str):
    digest = "0" * 64
    body = bundles.manifest().to_bytes().replace(b"config/gate.toml", path.encode("unicode_escape"))
    with pytest.raises(BundleError, match="manifest of another kind: files"):
        parse_manifest(body)
    with pytest.raises(ValueError, match="should be"):
        BundledFile(path=path, size_bytes=1, sha256=digest)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"files": listing(CONTENTS)[::-1]}, "should be sorted by path"),
        ({"files": listing(CONTENTS)[:1] * 2}, "should be sorted by path, each there once"),
        ({"box": None}, "should hold no secrets without a device"),
        ({"version": "../1"}, "version"),
        ({"version": ".."}, "version"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_none(changes: dict[str, object], complaint: str):
    with pytest.raises(ValueError, match=complaint):
        bundles.manifest(**changes)
