"""An agent's gallery that follows what a workshop publishes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.consumer import eventually
from support.gallery_publisher import DIMENSION, MODEL, SITE, Workshop

from edge_reid.agent.gallery_sync import GallerySync
from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.manifest import EmbeddingManifest
from edge_reid.matching.index import Index

MANIFEST = EmbeddingManifest(
    name="test",
    sha256=MODEL + 48 * "0",
    input_height_px=64,
    input_width_px=32,
    licence="none",
    source="none",
    dimension=DIMENSION,
    impostor_quantiles=((0.1, 0.5),),
)


def settings(workshop: Workshop, tmp_path: Path, **sync: object) -> AgentSettings:
    followed = {
        "source": str(workshop.out),
        "public_key": workshop.public_key_path,
        "poll_s": 0.1,
        "keep_previous_s": 0,
    }
    return AgentSettings.model_validate(
        {
            "site": SITE,
            "camera": "gate",
            "agent": "gate-1",
            "gallery": tmp_path / "device.db",
            "source": {"uri": "0"},
            "mqtt": {"url": sync.pop("url", None)},
            "gallery_sync": followed | sync,
        }
    )


@contextmanager
def following(workshop: Workshop, tmp_path: Path, **sync: object) -> Iterator[GallerySync]:
    opened = GallerySync.open(settings(workshop, tmp_path, **sync), MANIFEST)
    assert opened is not None
    with opened:
        yield opened


def taken(sync: GallerySync) -> Index:
    found: list[Index] = []

    def is_taken() -> bool:
        index = sync.take()
        found.extend([] if index is None else [index])  # one of nobody is false, too
        return bool(found)

    eventually(is_taken, 20)
    return found[0]
