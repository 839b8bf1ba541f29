from __future__ import annotations

import base64
import json
import os
import stat
from pathlib import Path

import numpy as np
import pytest
from support.gallery_examples import DIMENSION, MODEL, OTHER_MODEL, template

from edge_reid.core.errors import GalleryError, ModelMismatchError, UsageError
from edge_reid.gallery.export_file import read_portable, write_portable


@pytest.fixture
def people():
    return [template("Alice", 1), template("Alice", 2), template("Zoë [x]")]


@pytest.fixture
def path(tmp_path, people):
    path = tmp_path / "people.jsonl"
    write_portable(path, people, MODEL, DIMENSION)
    return path


def edit(path, line, **changes):
    """Change keys of one line of the file."""
    lines = path.read_text().splitlines()
    lines[line - 1] = json.dumps(json.loads(lines[line - 1]) | changes)
    path.write_text("\n".join(lines) + "\n")


def test_what_is_written_comes_back(path, people):
    read = read_portable(path, MODEL, DIMENSION)
    for came, went in zip(read, people, strict=True):
        np.testing.assert_array_equal(came.vector, went.vector)
        assert (came.identity, came.model_id, came.quality) == (went.identity, MODEL, went.quality)
        assert came.source_sha256 == went.source_sha256
        assert came.created_utc_s == went.created_utc_s


def test_anybody_can_read_the_format(path, people):
    head, first, *_ = map(json.loads, path.read_text().splitlines())
    assert head == {
        "format": "edge-reid.gallery/1",
        "model_id": MODEL,
        "dimension": DIMENSION,
        "templates": 3,
    }
    vector = np.frombuffer(base64.b64decode(first["vector"]), "<f4")
    np.testing.assert_array_equal(vector, people[0].vector)


def test_only_its_owner_may_read_it(path):
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_it_takes_the_place_of_an_older_export(path, people):
    """As every night's does of a backup."""
    write_portable(path, people[:1], MODEL, DIMENSION)
    assert [each.identity for each in read_portable(path, MODEL, DIMENSION)] == ["Alice"]


def test_and_of_an_empty_file(tmp_path, people):
    """As mktemp makes one."""
    path = tmp_path / "people.jsonl"
    path.touch(0o600)
    write_portable(path, people, MODEL, DIMENSION)
    assert len(read_portable(path, MODEL, DIMENSION)) == 3


def test_a_link_goes_on_pointing_to_the_newest(path, people):
    link = path.with_name("newest.jsonl")
    link.symlink_to(path)
    write_portable(link, people[:1], MODEL, DIMENSION)
    assert link.is_symlink()
    assert len(read_portable(path, MODEL, DIMENSION)) == 1


@pytest.mark.parametrize(
    "content",
    [b"\n", b"\x89PNG\r\n\x1a\n", b'{"schema": "edge-reid.hit/1"}\n', b"{" * 10_000, bytes(512)],
    ids=["newline", "picture", "events", "long line", "zeros"],
)
def test_a_file_of_another_kind_stays(tmp_path, people, content):
    path = tmp_path / "people.jsonl"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="expected an older export or no file, got another kind"):
        write_portable(path, people, MODEL, DIMENSION)
    assert path.read_bytes() == content


def test_what_is_no_file_is_not_replaced_by_one(tmp_path, people):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path, Path("/dev/null")):
        with pytest.raises(UsageError, match="expected an older export or no file, got another"):
            write_portable(path, people, MODEL, DIMENSION)
    assert pipe.is_fifo()
    assert Path("/dev/null").is_char_device()


def test_an_empty_gallery_travels_too(tmp_path):
    write_portable(tmp_path / "empty.jsonl", [], MODEL, DIMENSION)
    assert read_portable(tmp_path / "empty.jsonl", MODEL, DIMENSION) == ()


def test_of_another_model(path):
    with pytest.raises(ModelMismatchError, match=f"expected embeddings of model {OTHER_MODEL}"):
        read_portable(path, OTHER_MODEL, DIMENSION)


def test_of_another_dimension(path):
    with pytest.raises(ModelMismatchError, match="with 32 numbers, got model .* with 16"):
        read_portable(path, MODEL, 32)


def test_missing(tmp_path):
    with pytest.raises(GalleryError, match="cannot be read: No such file"):
        read_portable(tmp_path / "nothing.jsonl", MODEL, DIMENSION)


@pytest.mark.parametrize("content", [b"", b"hello\n", b"\xff\xd8\xff\xe0", b'{"a": 1}\n', b"[]"])
def test_of_another_kind(tmp_path, content):
    path = tmp_path / "people.jsonl"
    path.write_bytes(content)
    with pytest.raises(
        GalleryError, match="expected what `edge-reid gallery export` writes"
    ) as caught:
        read_portable(path, MODEL, DIMENSION)
    assert "\n" not in str(caught.value)


def test_cut_short(path):
    path.write_text("\n".join(path.read_text().splitlines()[:-1]))
    with pytest.raises(GalleryError, match="expected 3 templates as its first line says, got 2"):
        read_portable(path, MODEL, DIMENSION)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"vector": "not base64!"}, "line 3: "),
        ({"vector": base64.b64encode(bytes(64)).decode()}, "line 3: expected vectors of unit norm"),
        (
            {"vector": base64.b64encode(bytes(60)).decode()},
            "line 3: expected vectors of 16 numbers",
        ),
        ({"quality": 3}, "line 3: .*quality of 0 to 1, got 3"),
        ({"quality": "high"}, "line 3: quality: "),
        ({"identity": "two\nlines"}, "line 3: .*printable"),
        ({"source_sha256": "x"}, "line 3: .*SHA-256"),
        ({"photo": "…"}, "line 3: photo: unknown key"),
    ],
)
def test_a_line_that_is_wrong_is_named(path, changes, words):
    edit(path, 3, **changes)
    with pytest.raises(GalleryError, match=words) as caught:
        read_portable(path, MODEL, DIMENSION)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(GalleryError, match="cannot be written: No such file or directory"):
        write_portable(tmp_path / "nowhere" / "people.jsonl", [], MODEL, DIMENSION)
