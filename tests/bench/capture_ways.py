"""Reads one stream in one way and prints what it cost, as JSON: `capture.py` runs it.

python tests/bench/capture_ways.py LIBRARY THREADS SKIP TO URI [TRANSPORT SECONDS]
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from statistics import median, quantiles

LIBRARY, THREADS, SKIP, TO, URI = sys.argv[1:6]
TRANSPORT, SECONDS = (*sys.argv[6:], "", "1e9")[:2]

Read = tuple[float, bool]
"""Stream time, s; whether the picture is said to be damaged."""


def with_opencv() -> Iterator[Read]:
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = f"rtsp_transport;{TRANSPORT or 'tcp'}"
    import cv2

    cv2.setNumThreads(1)
    threads = [cv2.CAP_PROP_N_THREADS, int(THREADS)] if THREADS != "0" else []
    capture = cv2.VideoCapture(URI, cv2.CAP_FFMPEG, threads)
    while (read := capture.read())[0]:
        stream_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB)
        yield stream_s, False


def with_pyav() -> Iterator[Read]:
    import av

    av.logging.set_level(av.logging.INFO)
    av.logging.set_skip_repeated(False)
    container = av.open(URI, options={"rtsp_transport": TRANSPORT} if TRANSPORT else {})
    stream = container.streams.video[0]
    stream.codec_context.thread_count = int(THREADS)
    stream.codec_context.thread_type = "AUTO" if THREADS == "0" else "SLICE"
    stream.codec_context.skip_frame = SKIP
    with av.logging.Capture(local=False) as lines:
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                frames = []
            for frame in frames:
                taken(frame)
                yield frame.time or 0.0, any("concealing" in line[2] for line in lines)
                lines.clear()


def taken(frame: object) -> None:
    if TO == "rgb":
        frame.reformat(format="rgb24").planes[0]  # type: ignore[attr-defined]
    else:
        [bytes(plane) for plane in frame.planes]  # type: ignore[attr-defined]


def main() -> None:
    offsets_s, damaged = [], 0
    end_s = time.monotonic() + float(SECONDS)
    for stream_s, is_damaged in (with_opencv if LIBRARY == "cv2" else with_pyav)():
        now_s = time.monotonic()
        offsets_s.append(now_s - stream_s)
        damaged += is_damaged
        if now_s > end_s:
            break
    usage = resource.getrusage(resource.RUSAGE_SELF)
    settled = offsets_s[len(offsets_s) // 4 :] or [0.0, 0.0]
    print(json.dumps({
        "cpu_s": usage.ru_utime + usage.ru_stime, "rss_mb": usage.ru_maxrss / 1024,
        "pictures": len(offsets_s), "damaged": damaged,
        "median_s": median(settled), "p95_s": quantiles(settled, n=20)[-1],
    }))  # fmt: skip
    sys.stdout.flush()
    os._exit(0)


main()
