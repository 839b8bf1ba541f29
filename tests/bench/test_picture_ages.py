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
def test_of_the_first_look_the_newest_picture_of_that_number_is_meant(
    number: int, played_s: float, rounds: int
) -> None:
    moment_s = STARTED_S + rounds * CLIP_S + played_s + 0.3
    assert camera(STARTED_S).ages_s([(number, moment_s)]) == pytest.approx([0.3])


def test_a_viewer_who_came_again_is_counted_from_there() -> None:
    came_again = camera(STARTED_S, STARTED_S + 7)
    looks = [(FIRST, STARTED_S + 5), (FIRST, STARTED_S + 7.2)]
    assert came_again.ages_s(looks) == pytest.approx([5.0, 0.2])


def test_who_falls_behind_by_more_than_a_loop_is_found_out() -> None:
    """Half as fast as the camera, for two minutes: pictures are one minute old at last."""
    loop = CLIP_S * FPS
    looks = [
        ((FIRST + at_s * FPS // 2) % loop, STARTED_S + at_s) for at_s in range(2, 3 * CLIP_S, 2)
    ]
    assert camera(STARTED_S).ages_s(looks) == pytest.approx([at_s / 2 for at_s in range(2, 120, 2)])


def test_who_goes_back_sees_an_old_picture_and_none_of_the_future() -> None:
    looks = [
        (FIRST + 9, STARTED_S + 1),
        (FIRST + 6, STARTED_S + 1.2),
        (FIRST + 18, STARTED_S + 1.4),
    ]
    assert camera(STARTED_S).ages_s(looks) == pytest.approx([0.4, 0.8, 0.2])


def test_a_picture_that_is_looked_at_twice_ages() -> None:
    looks = [(FIRST + 1, STARTED_S + 1), (FIRST + 1, STARTED_S + 1.5)]
    first_s, second_s = camera(STARTED_S).ages_s(looks)
    assert second_s - first_s == pytest.approx(0.5)
