"""When somebody gets a name, and how soon."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from edge_reid.core.config.section import Seconds, Section, Share


class DecideSettings(Section):
    """When a track gets the name of an identity."""

    target_fpir: Share = 0.01
    """Accepted share of tracks of people not enrolled that get a name (false-positive
    identification rate); the threshold is derived from it."""
    threshold: Annotated[float, Field(gt=-1, lt=1)] | None = None
    """Fixed similarity threshold. Default: derived from `target_fpir`, the model's manifest and the
    number of templates."""
    min_margin: Annotated[float, Field(ge=0, lt=2)] = 0.05
    """Least difference to the similarity of the best other identity."""
    min_crops: Annotated[int, Field(ge=1, le=64)] = 3
    """Crops before a track is decided while it goes on; at its end one is enough."""
    update_gain: Annotated[float, Field(gt=0, lt=2)] = 0.05
    """An update is published when the similarity has risen by this much, or the identity has
    changed."""
    adapt: bool = False
    """Move the threshold of a live camera when unknown people there are found to be more or less
    alike to those enrolled than in the model's manifest, so that `target_fpir` is kept. Without it
    the camera's status says only what would keep it. A fixed `threshold` is never moved."""
    adapt_most: Annotated[float, Field(gt=0, le=0.3)] = 0.1
    """Most similarity by which `adapt` moves the threshold, up or down."""


class LatencySettings(Section):
    """What is promised of the time from a frame to its events, of live cameras."""

    captured_to_committed_p95_ms: Annotated[float, Field(ge=20, le=60_000)] = 500.0
    """Of 100 looks at a frame, 95 have what they brought in the outbox so soon after the camera
    took the frame. While a machine is too slow for that, it looks more seldom, and the camera's
    status says so."""


class StrangerSettings(Section):
    """Recognise people again who are not enrolled, under an anonymous name of this device."""

    path: Path | None = None
    """SQLite file of their embeddings; agents of one device may share it. Default: `strangers.db`
    beside the outbox."""
    keep_s: Seconds = 86_400.0
    """A stranger who was not seen for this long is deleted."""
    max_people: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Beyond it, the stranger who was not seen for the longest time is deleted."""
    target_fpir: Share = 0.002
    """Accepted share of newcomers who get the name of somebody seen before. Lower than for
    identities: two names of one person can be merged, two people under one name not separated."""
    share: bool = False
    """Whether the devices of the site tell each other of strangers, so that somebody has one name
    at all of them. Embeddings then leave this device, signed with its certificate, for the others
    of its site; needs `mqtt.url` with `mqtts://` and certificates of `certs.py`."""
    share_target_fpir: Share = 0.02
    """Accepted share of newcomers who get the name of somebody whom another device has seen. People
    look less like themselves to another camera, so with `target_fpir` hardly anybody would."""
