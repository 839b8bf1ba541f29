"""A decoder that was taken over may report anything; what cannot be is not believed."""

from __future__ import annotations

import json

import pytest

from edge_reid.capture.decoder_report import DecoderReport, ReadyPicture
from edge_reid.capture.frame_slots import FrameSlots, Slot
from edge_reid.capture.stream_judge import Stillness
from edge_reid.core.camera_fault import CameraFault

SLOT = Slot(2, 7, 640, 480, "i420")
REPORT = DecoderReport(
    CameraFault("frozen", "stream rtsp://gate: has sent the same picture for 12 s"),
    ReadyPicture(SLOT, 41, 1234.5),
    frames_read=42,
    stillness=Stillness(12.0, (1, 2**32 - 1)),
    unenforced="files and connections (not Linux)",
)


def test_a_report_arrives_as_it_was_sent() -> None:
    assert DecoderReport.from_line(REPORT.to_line()) == REPORT
    assert DecoderReport.from_line(DecoderReport(None).to_line()) == DecoderReport(None)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("frames_read",), "many"),
        (("frames_read",), -1),
        (("damaged",), 1e300),
        (("fps",), float("nan")),
        (("lag_s",), None),
        (("fault", "kind"), "hacked"),
        (("fault", "line"), "two\nlines"),
        (("fault", "line"), "x" * 5000),
        (("picture", "index"), 0.5),
        (("picture", "slot", "number"), 8),
        (("picture", "slot", "number"), 1.0),
        (("picture", "slot", "width"), 1 << 40),
        (("picture", "slot", "height"), 0),
        (("picture", "slot", "width"), 641),
        (("picture", "slot", "layout"), "nv12"),
        (("stillness", "digests"), [None]),
        (("stillness",), 3),
    ],
)
def test_what_cannot_be_is_refused(path: tuple[str, ...], value: object) -> None:
    fields = json.loads(REPORT.to_line())
    table = fields
    for key in path[:-1]:
        table = table[key]
    table[path[-1]] = value
    with pytest.raises((ValueError, TypeError, KeyError)):
        DecoderReport.from_line(json.dumps(fields).encode())


@pytest.mark.parametrize("line", [b"", b"[]", b"{}", b"\xff\xfe", b"null", b'{"fault":1}'])
def test_a_line_that_is_no_report(line: bytes) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        DecoderReport.from_line(line)


def test_memory_that_somebody_looks_at_is_let_go_without_a_word() -> None:
    slots = FrameSlots()
    slot = slots.write([memoryview(bytes(24))], 4, 4, "i420")
    with slots.reading(slot) as data:
        slots.close()
        assert data is not None
        assert bytes(data) == bytes(24)


def test_a_slot_keeps_its_picture_while_it_is_read_and_the_newest_wins() -> None:
    slots = FrameSlots()
    theirs = FrameSlots(slots.descriptor)
    pictures = [memoryview(bytes([level]) * 24) for level in range(1, 9)]
    first = slots.write([pictures[0]], 4, 4, "i420")
    with theirs.reading(first) as data:
        later = [slots.write([picture], 4, 4, "i420") for picture in pictures[1:]]
        assert data is not None
        assert bytes(data) == bytes(pictures[0])
        assert theirs.holds(first)
    assert [theirs.holds(slot) for slot in later[-2:]] == [True, True]
    with theirs.reading(later[0]) as gone:
        assert gone is None
    with theirs.reading(later[-1]) as data:
        assert data is not None
        assert bytes(data) == bytes(pictures[-1])
