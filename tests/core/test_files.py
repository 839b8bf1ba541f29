"""Files are there whole or not at all, and what a power cut has spoilt is as if it were not."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from support import campus
from support.bent_zips import unreadable_zips

from edge_reid.core.errors import UsageError
from edge_reid.core.files import (
    UNREADABLE_ZIP,
    check_replaceable,
    may_hold_json_lines,
    read_json_or_none,
    remove_abandoned_drafts,
    whole_file,
    write_whole,
)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def cut_the_power(*_: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("content", "may"),
    [
        (b"", True),
        (b'{"a": 1}\n{"a"', True),
        (b"\n", True),
        (b'\xef\xbb\xbf{"a": 1}\n', True),
        (bytes(9), True),
        (bytes(9999) + b'{"a": 1}\n', True),
        (b"\x89PNG\r\n", False),
        (campus.CLIP.read_bytes()[:4096], False),
        (bytes(9999) + b"a raw picture", False),
    ],
    ids=[
        *("empty", "cut off", "made by echo", "with a mark of UTF-8", "lost in a power cut"),
        *("gone on with after it", "picture", "clip", "zeros first"),
    ],
)
def test_lines_of_json_are_appended_to_nothing_else(
    tmp_path: Path, content: bytes, *, may: bool
) -> None:
    path = tmp_path / "events"
    assert may_hold_json_lines(path)
    path.write_bytes(content)
    assert may_hold_json_lines(path) is may


def check_page(path: Path) -> None:
    check_replaceable(path, f"--out {path}", "a page", lambda file: file.read(5) == b"<html")


def test_a_file_is_replaced_by_one_of_its_kind_only(tmp_path: Path) -> None:
    page = tmp_path / "page"
    check_page(page)
    for content in (b"", b"<html>"):
        page.write_bytes(content)
        check_page(page)
    page.write_bytes(b"hello")
    with pytest.raises(UsageError) as caught:
        check_page(page)
    assert str(caught.value) == (
        f"--out {page}: expected a page or no file, got another kind of file; give another path"
    )


def test_what_is_no_file_is_not_replaced_by_one(tmp_path: Path) -> None:
    """Else whoever may do so makes a file of /dev/null."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path, Path("/dev/null")):
        with pytest.raises(UsageError, match="expected a page or no file, got another kind"):
            check_page(path)


def test_a_file_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    write_whole(path, b"old")
    write_whole(path, b"new")
    assert (path.read_bytes(), names(tmp_path)) == (b"new", ["state.json"])


def test_nobody_sees_it_before_all_of_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    write_whole(path, b"old")
    with whole_file(path) as file:
        file.write(b"ne")
        file.flush()
        assert path.read_bytes() == b"old"
        file.write(b"w")
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "state.json"
    write_whole(path, b"old")
    owner = os if call == "fsync" else Path
    monkeypatch.setattr(owner, call, cut_the_power)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, b"new")
    assert (path.read_bytes(), names(tmp_path)) == (b"old", ["state.json"])


def write_half(path: Path) -> None:
    with whole_file(path) as file:
        file.write(b"ne")
        raise KeyboardInterrupt


def test_whatever_stops_its_writer_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    write_whole(path, b"old")
    with pytest.raises(KeyboardInterrupt):
        write_half(path)
    assert (path.read_bytes(), names(tmp_path)) == (b"old", ["state.json"])


def test_a_draft_that_a_power_cut_left_is_in_nobodys_way(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    with whole_file(path) as file:
        file.write(b"x")
        (draft,) = names(tmp_path)
    (tmp_path / draft).write_bytes(b"half of it, and longer than the other")
    write_whole(path, b"new")
    assert (path.read_bytes(), names(tmp_path)) == (b"new", ["state.json"])


def test_the_file_is_on_the_disk_before_its_name_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def note_fsync(descriptor: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        steps.append(f"fsync {kind}")
        fsync(descriptor)

    def note_replace(draft: Path, path: Path) -> Path:
        steps.append("replace")
        return replace(draft, path)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(Path, "replace", note_replace)
    write_whole(tmp_path / "state.json", b"new")
    assert steps == ["fsync file", "replace", "fsync folder"]
    steps.clear()
    write_whole(tmp_path / "state.json", b"new", is_synced=False)
    assert steps == ["replace"]


def test_a_folder_that_cannot_be_synced_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def of_files_only(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(22, "Invalid argument")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", of_files_only)
    write_whole(tmp_path / "state.json", b"new")
    assert (tmp_path / "state.json").read_bytes() == b"new"


def test_a_new_file_is_as_open_as_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "state.json", b"")
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "state.json") == 0o640


def test_a_file_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    write_whole(path, b"old")
    path.chmod(0o604)
    write_whole(path, b"new")
    assert mode_of(path) == 0o604


def test_a_secret_is_its_owners_from_its_first_byte(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"old")
    path.chmod(0o644)
    with whole_file(path, mode=0o600) as file:
        file.write(b"new")
        drafts = [tmp_path / name for name in names(tmp_path) if name != "secret"]
        assert [mode_of(draft) for draft in drafts] == [0o600]
    assert mode_of(path) == 0o600


def test_what_was_written_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_whole(tmp_path / "state.json", b'{"serial": 7}')
    assert read_json_or_none(tmp_path / "state.json", lambda table: table["serial"]) == 7
    assert caplog.records == []


def test_a_file_that_is_not_there_is_none_without_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert read_json_or_none(tmp_path / "state.json", dict) is None
    assert caplog.records == []


def test_the_draft_of_a_writer_that_was_killed_goes_and_that_of_another_stays(
    tmp_path: Path,
) -> None:
    killed = f"""
from pathlib import Path
import os
from edge_reid.core.files import whole_file
with whole_file(Path({str(tmp_path / "state.json")!r})) as file:
    os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", killed], check=False)
    (abandoned,) = tmp_path.iterdir()
    long_ago_s = time.time() - 3700
    os.utime(abandoned, (long_ago_s, long_ago_s))
    with whole_file(tmp_path / "state.json") as file:
        file.write(b"new")
        remove_abandoned_drafts(tmp_path)
    assert names(tmp_path) == ["state.json"]


@pytest.mark.parametrize(
    "spoilt",
    [
        *(b"", b"\x00" * 40, b'{"serial": 7', b'{"serial": "seven"}', b'{"cereal": 7}', b"null"),
        *(b"[]", b"\xff\xfe\x00", b"[" * 100_000, b'{"serial":\n\n\n7'),
    ],
)
def test_what_a_power_cut_has_spoilt_is_none_and_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, spoilt: bytes
) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(spoilt)
    assert read_json_or_none(path, lambda table: int(table["serial"])) is None
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{path}: ")
    assert "\n" not in record.getMessage()


def test_what_cannot_be_read_is_none_and_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "state.json").mkdir()
    assert read_json_or_none(tmp_path / "state.json", dict) is None
    assert ["Is a directory" in record.getMessage() for record in caplog.records] == [True]


def a_zip() -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in ("one", "two"):
            packed.writestr(name, name * 99)
    return body.getvalue()


def unpack(body: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(body)) as packed:
        for name in packed.namelist():
            packed.read(name)


@pytest.mark.parametrize("how", unreadable_zips(a_zip()))
def test_whatever_is_wrong_with_a_zip_is_one_kind_of_trouble(how: str):
    with pytest.raises(UNREADABLE_ZIP):
        unpack(unreadable_zips(a_zip())[how])
