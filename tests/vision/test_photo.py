"""Photos of every kind, made here byte by byte where OpenCV cannot write them."""

from __future__ import annotations

import base64
import hashlib
import struct
import zlib

import cv2
import numpy as np
import pytest

from edge_reid.core.errors import PhotoError
from edge_reid.vision.photo import MAX_BYTES, read_photo
from edge_reid.vision.picture_header import declared_size_px

CMYK_JPEG = base64.b64decode(
    "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwACAQEBAQECAQEBAgICAgIEAwICAgIFBAQDBAYFBgYGBQYGBgcJCAYHCQcGBggL"
    "CAkKCgoKCgYICwwLCgwJCgoK/8AAFAgAEAAQBEMRAE0RAFkRAEsRAP/EABUAAQEAAAAAAAAAAAAAAAAAAAAJ/8QAFBAB"
    "AAAAAAAAAAAAAAAAAAAAAP/aAA4EQwBNAFkASwAAPwC/ibaba1gAAAD/2Q=="
)
"""16 × 16 px of C 0, M 200, Y 200, K 20, which is RGB (235, 51, 51)."""


def picture(height=40, width=20):
    """RGB: red above, blue below, so that turning it shows."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, :, 0] = 255
    image[height // 2 :, :, 2] = 255
    return image


def encoded(suffix, rgb):
    return cv2.imencode(suffix, np.ascontiguousarray(rgb[..., ::-1]))[1].tobytes()


def with_orientation(jpeg, orientation):
    """The JPEG with an EXIF segment that says which way up it is."""
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    tiff = b"MM\x00\x2a" + struct.pack(">IH", 8, 1) + entry + struct.pack(">I", 0)
    segment = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:]


def png_of(width, height):
    """A PNG that declares a size and holds no pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    crc = struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + crc + b"\0\0\0\0IEND\xaeB`\x82"


@pytest.fixture
def file(tmp_path):
    def write(data, name="photo.jpg"):
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff"])
def test_pixels_come_as_rgb(file, suffix):
    image = read_photo(file(encoded(suffix, picture()))).image
    np.testing.assert_array_equal(image, picture())
    assert image.dtype == np.uint8


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_pixels_of_lossy_formats_come_as_rgb(file, suffix):
    image = read_photo(file(encoded(suffix, picture()))).image
    assert np.abs(image.astype(int) - picture()).mean() < 4


def test_the_name_does_not_matter_and_the_hash_is_that_of_the_file(file):
    path = file(encoded(".png", picture()), "photo.jpg")
    assert read_photo(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert read_photo(path).path == path


@pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (3, 2), (6, 3), (8, 1)])
def test_a_photo_is_turned_upright(file, orientation, turns):
    """`turns`: quarter turns against the clock that bring the stored picture upright."""
    data = with_orientation(encoded(".jpg", picture()), orientation)
    image = read_photo(file(data)).image
    upright = np.rot90(picture(), turns)
    assert image.shape == upright.shape
    assert np.abs(image.astype(int) - upright).mean() < 4


def test_grey_becomes_three_equal_channels(file):
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    image = read_photo(file(cv2.imencode(".png", grey)[1].tobytes())).image
    np.testing.assert_array_equal(image, np.repeat(grey[..., None], 3, axis=2))


def test_sixteen_bits_become_eight(file):
    deep = np.full((8, 8, 3), 40_000, np.uint16)
    image = read_photo(file(cv2.imencode(".png", deep)[1].tobytes())).image
    assert image.dtype == np.uint8
    assert set(np.unique(image)) == {40_000 >> 8}


def test_cmyk_becomes_rgb(file):
    image = read_photo(file(CMYK_JPEG)).image
    assert image.shape == (16, 16, 3)
    assert np.abs(image.astype(int) - (235, 51, 51)).max() <= 2


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_transparent_pixels_lie_on_grey(file, dtype):
    full = np.iinfo(dtype).max
    bgra = np.zeros((3, 1, 4), dtype)
    bgra[:, 0, 2] = full  # red
    bgra[:, 0, 3] = (0, full // 2, full)
    image = read_photo(file(cv2.imencode(".png", bgra)[1].tobytes())).image
    half = (255 + 114) / 2
    assert image[0, 0].tolist() == [114, 114, 114]
    assert image[1, 0].tolist() == pytest.approx([half, 57, 57], abs=1)
    assert image[2, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tiff", ".bmp"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_cut_short(file, suffix, share):
    noise = np.random.default_rng(0).integers(0, 256, (64, 32, 3)).astype(np.uint8)
    data = encoded(suffix, noise)
    with pytest.raises(PhotoError, match=r"cut short|cannot be decoded") as caught:
        read_photo(file(data[: int(len(data) * share)]))
    assert "\n" not in str(caught.value)


def test_a_thumbnail_inside_does_not_make_it_whole(file):
    whole = encoded(".jpg", picture())
    thumbnail = b"Exif\0\0" + encoded(".jpg", picture(8, 4))
    segment = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    assert read_photo(file(whole[:2] + segment + whole[2:])).image.shape == (40, 20, 3)
    with pytest.raises(PhotoError, match="cut short"):
        read_photo(file(whole[:2] + segment + whole[2:-50]))


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"", "the file is empty"), (b"hello", "cannot be decoded"), (b"\xff\xd8\xff", "cut short")],
)
def test_no_image(file, data, words):
    with pytest.raises(PhotoError, match=words):
        read_photo(file(data))


def test_missing_or_a_folder(tmp_path):
    with pytest.raises(PhotoError, match="cannot be read: No such file or directory"):
        read_photo(tmp_path / "nobody.jpg")
    with pytest.raises(PhotoError, match="cannot be read: Is a directory"):
        read_photo(tmp_path)


def test_a_bomb_is_refused_before_it_is_decoded(file):
    with pytest.raises(PhotoError, match="at most 100 megapixels, got 60000 × 60000"):
        read_photo(file(png_of(60_000, 60_000)))
    jpeg = bytearray(encoded(".jpg", picture()))
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = struct.pack(">HH", 50_000, 40_000)
    with pytest.raises(PhotoError, match="got 40000 × 50000"):
        read_photo(file(bytes(jpeg)))


def test_a_png_with_a_chunk_of_two_gigabytes_is_refused_before_it_is_decoded(file):
    whole = encoded(".png", picture())
    chunk = struct.pack(">I", 0x7FFF_FFF0) + b"tEXt" + bytes(4)
    with pytest.raises(PhotoError, match="cut short"):
        read_photo(file(whole[:33] + chunk + whole[33:]))


def bmp_of(width, height):
    """40 bytes of header that promise the pixels; a run-length code could hold them in few."""
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + header


def tiff_of(width, height, *, order="<", tile=0):
    tags = [(256, 4, width), (257, 4, height), *([(322, 4, tile), (323, 4, tile)] if tile else [])]
    entries = b"".join(struct.pack(f"{order}HHII", tag, kind, 1, at) for tag, kind, at in tags)
    magic = b"II*\0" if order == "<" else b"MM\0*"
    return magic + struct.pack(f"{order}IH", 8, len(tags)) + entries + bytes(4)


def webp_of(width, height):
    """Of the extended kind, by its canvas."""
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<II", 10, 0) + canvas


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (bmp_of(60_000, 50_000), "60000 × 50000"),
        (bmp_of(60_000, -50_000), "60000 × 50000"),
        (tiff_of(60_000, 50_000), "60000 × 50000"),
        (tiff_of(60_000, 50_000, order=">"), "60000 × 50000"),
        (tiff_of(16, 16, tile=32_768), "32768 × 32768"),
        (webp_of(60_000, 50_000), "60000 × 50000"),
    ],
    ids=["bmp", "bmp from the top", "tiff", "tiff big-endian", "tiff of tiles", "webp"],
)
def test_a_bomb_of_another_kind(file, data, size):
    with pytest.raises(PhotoError, match=f"at most 100 megapixels, got {size}"):
        read_photo(file(data))


@pytest.mark.parametrize("suffix", [".bmp", ".jpg", ".png", ".tiff", ".webp"])
def test_the_declared_size_is_the_decoded_one(suffix):
    assert declared_size_px(encoded(suffix, picture(40, 20))) == (20, 40)


def test_a_lossless_webp_declares_its_size():
    lossless = [cv2.IMWRITE_WEBP_QUALITY, 101]
    data = cv2.imencode(".webp", picture(40, 20), lossless)[1].tobytes()
    assert data[12:16] == b"VP8L"
    assert declared_size_px(data) == (20, 40)


@pytest.mark.parametrize("suffix", [".ppm", ".sr", ".hdr"])
def test_a_kind_whose_size_is_not_known_beforehand_is_refused(file, suffix):
    pixels = picture().astype(np.float32) if suffix == ".hdr" else picture()
    with pytest.raises(PhotoError, match="expected a JPEG, PNG, BMP, TIFF or WebP"):
        read_photo(file(cv2.imencode(suffix, pixels)[1].tobytes()))


def test_a_huge_file_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "photo.bmp"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)  # takes no disk
    with pytest.raises(PhotoError, match="at most 64 MiB"):
        read_photo(path)


@pytest.mark.parametrize(
    ("data", "kind", "remedy"),
    [
        (b"\0\0\0\x18ftypheic" + bytes(40), "HEIC", "heif-convert"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(40), "HEIC", "Most Compatible"),
        (b"\0\0\0\x18ftypavif\0\0\0\0mif1" + bytes(40), "AVIF", "save it as one"),
        (b"\0\0\0\x18ftypisom" + bytes(40), "video", "run --source"),
        (b"\xff\xff\xff\xffftyp????" + bytes(40), "video", "give a picture"),
        (b"GIF89a" + bytes(40), "GIF", "save it as one"),
        (b"%PDF-1.7", "PDF", "save it as one"),
    ],
)
def test_another_kind_is_named_with_what_to_do(file, data, kind, remedy):
    with pytest.raises(PhotoError, match=f"got {kind}, which is not read here; .*{remedy}"):
        read_photo(file(data))
