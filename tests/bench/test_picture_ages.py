"""How old a picture is, by the number in it and when its camera owed it."""

from __future__ import annotations

from multiprocessing import Pipe
from multiprocessing.connection import Connection

import pytest
from support.looped_cameras import CLIP_S, LoopedCamera

FPS, FIRST, STARTED_S = 15, 30, 1000.0
SERVERS: list[Connection] = []
"""Their ends of the pipes: one that is closed is a camera that has gone."""


def camera(*started_s: float) -> LoopedCamera:
    told, server = Pipe(duplex=False)
    for moment_s in started_s:
        server.send(moment_s)
    SERVERS.append(server)
    return LoopedCamera("rtsp://127.0.0.1:1/stream", 1, FIRST, FPS, told)


@pytest.mark.parametrize(
    ("number", "played_s"),
    [
        (FIRST, 0.0),
        (FIRST + FPS, 1.0),
        (0, CLIP_S - 2.0),  # the loop has come round
        (FIRST - 1, CLIP_S - 1 / FPS),
    ],
)
@pytest.mark.parametrize("rounds", [0, 3])
def test_the_newest_picture_of_that_number_is_meant(
    number: int, played_s: float, rounds: int
) -> None:
    moment_s = STARTED_S + rounds * CLIP_S + played_s + 0.3
    assert camera(STARTED_S).age_s(number, moment_s) == pytest.approx(0.3)


def test_a_viewer_who_came_again_is_counted_from_there() -> None:
    came_again = camera(STARTED_S, STARTED_S + 7)
    assert came_again.age_s(FIRST, STARTED_S + 5) == pytest.approx(5.0)
    assert came_again.age_s(FIRST, STARTED_S + 7.2) == pytest.approx(0.2)
