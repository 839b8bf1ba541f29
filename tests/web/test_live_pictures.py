"""The live pictures, without a page around them."""

from __future__ import annotations

import asyncio

import numpy as np
from support.gallery_examples import snapshot_of, unit_vectors
from support.policies import policy_of

from edge_reid.agent.camera_areas import CameraAreas
from edge_reid.agent.pipeline import Step
from edge_reid.core.types import Frame, Image
from edge_reid.matching.index import Index
from edge_reid.web.live_pictures import LivePicture, LivePictures
from edge_reid.web.live_view import LiveView

PATIENCE_S = 20.0


def test_a_picture_that_takes_longer_than_anybody_waits_is_there_for_who_asks_next() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (2160, 3840, 3), np.uint8)
    pictures = pictures_of(noise)

    async def ask_in_vain_and_again() -> LivePicture | None:
        assert await pictures.newest("gate", timeout_s=0.001) is None
        while not pictures.made:
            await asyncio.sleep(0.01)
        return await pictures.newest("gate", timeout_s=0.001)

    picture = asyncio.run(asyncio.wait_for(ask_in_vain_and_again(), PATIENCE_S))
    pictures.close()
    assert picture is not None
    assert pictures.made == 1


def test_all_who_look_share_a_picture() -> None:
    pictures = pictures_of(np.zeros((480, 640, 3), np.uint8))

    async def ask_at_once() -> list[LivePicture | None]:
        return await asyncio.gather(*(pictures.newest("gate", PATIENCE_S) for _ in range(8)))

    first, *others = asyncio.run(ask_at_once())
    pictures.close()
    assert first is not None
    assert all(other is first for other in others)
    assert pictures.made == 1


def pictures_of(image: Image) -> LivePictures:
    """Of one camera that has given a frame."""
    view = LiveView(600)
    step = Step("gate", Frame(image, 0, 7.0), (), (), {}, (), ())
    view.take(step, policy_of(Index(snapshot_of(unit_vectors(2)))))
    return LivePictures(view, {"gate": CameraAreas()})
