"""What is verified of a bundle is what is unpacked of it, whoever has worked at it in between."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from support import flashing, forgeries
from support import small_bundles as bundles
from support.cards import boot_folder
from support.forgeries import (
    EVIL,
    ended,
    evil_members,
    files_below,
    tar_of,
    unpacked_by_tar,
    with_tar,
)
from support.small_bundles import KEY

from deploy.flash.flash_job import FlashJob
from edge_reid.core.errors import BundleError
from edge_reid.release.bundle_file import verify
from edge_reid.release.bundle_sinks import TarSink

ZEROS = bytes(64 << 20)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return bundles.write(tmp_path / "box.tar.zst")


def test_a_tar_that_two_programs_read_differently_is_refused(bundle: Path, tmp_path: Path):
    forged = forgeries.read_differently(tar_of(bundle))
    with_tar(bundle, forged)
    found = unpacked_by_tar(forged, tmp_path / "by-gnu")
    assert found["edge-reid-bundle/install/install.py"] == EVIL  # so this test is about something
    with pytest.raises(BundleError, match=r"expected the file .*manifest.json, got .* of type 'x'"):
        verify(bundle, KEY.public)


@pytest.mark.parametrize(
    "behind",
    [
        zstandard.compress(b""),
        zstandard.compress(ended(evil_members())),
        b"\x50\x2a\x4d\x18\x04\0\0\0evil",  # a frame that zstd skips
        zstandard.compress(ZEROS),
        b"\0",
        b"garbage",
    ],
)
def test_nothing_lies_behind_the_frame(bundle: Path, behind: bytes):
    bundle.write_bytes(bundle.read_bytes() + behind)
    with pytest.raises(BundleError, match="expected nothing behind its end, there is more"):
        verify(bundle, KEY.public)


@pytest.mark.parametrize("behind", [ended(evil_members()), bytes(512), bytes(10240), b"\0", ZEROS])
def test_nothing_lies_behind_the_end_of_the_tar(bundle: Path, behind: bytes):
    with_tar(bundle, tar_of(bundle) + behind)
    with pytest.raises(BundleError, match="expected nothing behind its end, there is more"):
        verify(bundle, KEY.public)


def test_nothing_hides_where_zeros_belong(bundle: Path):
    tar = tar_of(bundle)
    for at in (len(tar) - 1, len(tar) - 512, forgeries.headers_of(tar)[1] - 1):
        with_tar(bundle, tar[:at] + b"x" + tar[at + 1 :])
        with pytest.raises(BundleError, match="expected zeros"):
            verify(bundle, KEY.public)


def test_a_tar_that_ends_too_early_is_refused(bundle: Path):
    whole = tar_of(bundle)
    for tar in (whole[:-512], whole[:-10240], whole[: forgeries.headers_of(whole)[-1]], b""):
        with_tar(bundle, tar)
        with pytest.raises(BundleError, match="it is cut short"):
            verify(bundle, KEY.public)


def test_bundles_that_an_older_python_packed_are_read(bundle: Path):
    """It wrote device numbers where none are needed, and split long names at another slash."""
    whole = tar_of(bundle)
    old = whole
    for at in forgeries.headers_of(whole):
        old = forgeries.patched(old, at + 329, b"0000000\0" * 2)
    with_tar(bundle, old)
    assert verify(bundle, KEY.public) == bundles.manifest()


def test_what_is_written_anew_is_what_was_packed(bundle: Path, tmp_path: Path):
    plain = io.BytesIO()
    sink = TarSink(plain)
    verify(bundle, KEY.public, sink=sink)
    sink.end()
    assert plain.getvalue() == tar_of(bundle)
    assert unpacked_by_tar(plain.getvalue(), tmp_path / "out") == forgeries.signed_files(bundle)


# What an attacker may write into a header, and put before a member.
FIELDS = st.sampled_from([0, 100, 124, 136, 148, 156, 157, 257, 263, 329, 345, 482, 500])
VALUES = st.one_of(
    st.sampled_from([b"\x80" + bytes(11), b"0", b"1", b"2", b"5", b"7", b"x", b"g", b"L", b"K"]),
    st.sampled_from([b"S", b"V", b"ustar  \0", b"00000000000 ", b"../", b"-", b"/etc/", b"\0"]),
    st.binary(min_size=1, max_size=12),
)
NUMBERS = st.sampled_from([str(512 * n + m) for n in range(8) for m in (0, 1)])
SPARSE = ("major", "minor", "size", "realsize", "map", "name", "numblocks", "offset")
PAX = st.dictionaries(
    st.sampled_from(["size", "path", "linkpath", *(f"GNU.sparse.{it}" for it in SPARSE)]),
    st.one_of(NUMBERS, st.sampled_from(["1", "0", "0,512", "edge-reid-bundle/install/os.py", ""])),
    max_size=5,
)
KINDS = st.sampled_from([kind.encode() for kind in "01257gxLKSVD\0"])
INSERTED = st.builds(
    forgeries.member,
    st.sampled_from([*forgeries.EVIL_MEMBERS, "edge-reid-bundle/config", "pax_global_header"]),
    st.sampled_from(
        [b"0", b"\0", b"1", b"2", b"5", b"7", b"g", b"x", b"L", b"K", b"S", b"V", b"D"]
    ),
    st.sampled_from([b"", EVIL, b"20 path=install/os.py\n", b"15 size=0000512\n", bytes(512)]),
    PAX,
)
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("patch"), st.integers(0, 5), FIELDS, VALUES),
        st.tuples(st.just("insert"), st.integers(0, 6), INSERTED),
        st.tuples(st.just("move"), st.integers(0, 6), st.integers(0, 6)),
        st.tuples(st.just("cut"), st.integers(0, 6)),
    ),
    min_size=1,
    max_size=4,
)


def changed(tar: bytes, change: tuple[object, ...]) -> bytes:
    """A tar with one thing about its members changed."""
    match change:
        case ("patch", int(n), int(field), bytes(value)):
            return forgeries.patched(tar, STARTS[n] + field, value)
        case ("insert", int(n), bytes(more)):
            return tar[: STARTS[n]] + more + tar[STARTS[n] :]
        case ("move", int(n), int(to)):
            return tar[: STARTS[to]] + tar[STARTS[n] : STARTS[n] + 1024] + tar[STARTS[to] :]
        case ("cut", int(n)):
            return tar[: STARTS[n]] + bytes(1024)
    raise AssertionError(change)


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, dict[str, bytes]]:
    """The tar that nobody has changed, and what is in it."""
    bundle = bundles.write(tmp_path_factory.mktemp("untouched") / "box.tar.zst")
    tar = tar_of(bundle)
    STARTS[:] = [*forgeries.headers_of(tar), len(tar) - 1024]
    return tar, forgeries.signed_files(bundle)


STARTS: list[int] = []
"""Of the members of that tar, and of its end."""


@settings(max_examples=150)
@given(changes=CHANGES)
def test_gnu_tar_never_unpacks_what_was_not_signed(
    untouched: tuple[bytes, dict[str, bytes]],
    tmp_path_factory: pytest.TempPathFactory,
    changes: list[tuple[object, ...]],
):
    forged, signed = untouched
    for change in changes:
        forged = changed(forged, change)
    bundle = with_tar(tmp_path_factory.getbasetemp() / "fuzzed.tar.zst", forged)
    with suppress(BundleError):
        verify(bundle, KEY.public)
        assert unpacked_by_tar(forged, tmp_path_factory.mktemp("by-gnu") / "out") == signed


def test_a_card_gets_only_what_was_verified(tmp_path: Path):
    job = flashing.job(tmp_path / "job")
    whole = tar_of(job.bundle)
    boot = boot_folder(tmp_path / "boot", cloud_init=True)
    before = files_below(boot)
    with_tar(job.bundle, forgeries.read_differently(whole))
    outcome = job.flash("--boot", boot)
    assert outcome.code == 1
    assert "it is forged" in outcome.complaint
    assert files_below(boot) == before


def test_a_bundle_that_changes_after_it_was_checked_goes_nowhere(tmp_path: Path):
    job = flashing.job(tmp_path / "job")
    whole = tar_of(job.bundle)
    order = FlashJob.read(job.config, job.device, job.bundle)
    with_tar(job.bundle, forgeries.read_differently(whole))
    with pytest.raises(BundleError, match="it is forged"), order.bundle.tar():
        raise AssertionError
    flashing.job(tmp_path / "job", version="0.9")  # an older one, signed as well
    with pytest.raises(BundleError, match="was changed meanwhile"), order.bundle.tar():
        raise AssertionError
