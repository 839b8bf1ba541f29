"""What is read of a downloaded image before a card is touched."""

from __future__ import annotations

import hashlib
import json
import lzma
import random
from pathlib import Path

import pytest
from support.cards import BOOT_BYTES, BOOT_START, pi_image, tool

from deploy.flash.image import CHUNK_BYTES, Image
from deploy.flash.partitions import boot_partition
from deploy.flash.xz import unpacked_bytes
from edge_reid.core.errors import FlashError

BODY = random.Random(7).randbytes(300_000) + bytes(700_001)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pi_image(tmp_path_factory.mktemp("image") / "raspios.img", cloud_init=True)


@pytest.fixture(scope="module")
def packed(image: Path) -> Path:
    path = image.with_name("packed.img.xz")
    path.write_bytes(lzma.compress(image.read_bytes(), preset=0))
    return path


def test_the_size_of_one_stream(tmp_path: Path) -> None:
    path = tmp_path / "a.xz"
    path.write_bytes(lzma.compress(BODY))
    assert unpacked_bytes(path) == len(BODY)


def test_the_size_of_several_blocks_as_xz_makes_them_on_several_cores(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(BODY)
    tool("xz", "--threads=2", "--block-size=65536", "-0", tmp_path / "a")
    assert unpacked_bytes(tmp_path / "a.xz") == len(BODY)


def test_the_size_of_several_streams_with_padding_between(tmp_path: Path) -> None:
    path = tmp_path / "a.xz"
    path.write_bytes(lzma.compress(BODY) + bytes(8) + lzma.compress(b"more") + bytes(4))
    assert unpacked_bytes(path) == len(BODY) + 4


@pytest.mark.parametrize("kept", [0.0001, 0.3, 0.7, 0.99, 0.9999])
def test_a_packed_image_that_was_cut_off_is_known_at_once(packed: Path, kept: float) -> None:
    cut = packed.with_name("cut.img.xz")
    cut.write_bytes(packed.read_bytes()[: int(packed.stat().st_size * kept)])
    with pytest.raises(FlashError, match="download it again"):
        Image.open(cut)


def test_a_damaged_packed_image_is_known_before_anything_is_written(packed: Path) -> None:
    body = bytearray(packed.read_bytes())
    body[len(body) // 2] ^= 0x10
    broken = packed.with_name("broken.img.xz")
    broken.write_bytes(body)
    with pytest.raises(FlashError, match=r"broken\.img\.xz: is damaged .*download it again"):
        Image.open(broken).digests(lambda *_: None)


def test_an_image_that_was_cut_off_says_how_long_it_should_be(image: Path) -> None:
    cut = image.with_name("cut.img")
    cut.write_bytes(image.read_bytes()[: 60 << 20])
    with pytest.raises(FlashError, match=f"expected 67108864 bytes.* got {60 << 20}"):
        Image.open(cut)


@pytest.mark.parametrize(
    ("name", "body", "complaint"),
    [
        ("a.img", b"", "expected a disk image with a partition table"),
        ("a.img", b"<html>not found</html>" * 100, "expected a disk image with a partition"),
        ("a.img.xz", b"<html>not found</html>" * 100, "expected the end of an .xz file"),
        ("a.img.xz", b"", "is damaged"),
    ],
)
def test_what_is_no_image_is_said(tmp_path: Path, name: str, body: bytes, complaint: str) -> None:
    (tmp_path / name).write_bytes(body)
    with pytest.raises(FlashError, match=complaint):
        Image.open(tmp_path / name)


def test_no_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(FlashError, match="cannot be read: No such file"):
        Image.open(tmp_path / "a.img")


@pytest.mark.parametrize("label", ["dos", "gpt"])
def test_partitions_are_those_that_sfdisk_sees(tmp_path: Path, label: str) -> None:
    path = pi_image(tmp_path / "a.img", cloud_init=False, label=label)
    seen = json.loads(tool("sfdisk", "--json", path))["partitiontable"]["partitions"]
    found = Image.open(path).partitions()
    assert [(it.start_bytes // 512, it.size_bytes // 512) for it in found] == [
        (it["start"], it["size"]) for it in seen
    ]
    boot = boot_partition(found, str(path))
    assert (boot.start_bytes, boot.size_bytes) == (BOOT_START, BOOT_BYTES)


def test_an_image_without_a_fat_partition_is_no_image_for_a_pi(tmp_path: Path) -> None:
    path = tmp_path / "a.img"
    path.write_bytes(bytes(4 << 20))
    tool("sfdisk", "--quiet", path, stdin="label: dos\ntype=83\n")
    with pytest.raises(FlashError, match="expected a FAT partition .*got partitions 83"):
        boot_partition(Image.open(path).partitions(), str(path))


def test_a_partition_is_copied_out_of_a_packed_image(image: Path, packed: Path) -> None:
    its = boot_partition(Image.open(packed).partitions(), str(packed))
    copy = image.with_name("boot.img")
    with copy.open("wb") as file:
        Image.open(packed).copy_partition(its, file, lambda *_: None)
    assert copy.read_bytes() == image.read_bytes()[its.start_bytes : its.end_bytes]
    assert copy.stat().st_blocks * 512 < its.size_bytes / 4, "and what is empty takes no room"


def test_packed_and_unpacked_are_the_same_disk(image: Path, packed: Path) -> None:
    body = image.read_bytes()
    expected = tuple(
        hashlib.sha256(body[at : at + CHUNK_BYTES]).digest()
        for at in range(0, len(body), CHUNK_BYTES)
    )
    for path in (image, packed):
        told: list[tuple[int, int | None]] = []
        assert Image.open(path).digests(lambda *words: told.append(words)) == expected  # noqa: B023
        assert told[-1] == (len(body), len(body))
