"""The picture of the last hit of each camera, for Home Assistant, where the configuration lets
pictures leave the device.

It is not retained: the broker keeps no picture of anybody. Whoever is removed from the gallery, or
was somebody else after all, is shown no longer: a grey picture takes the place of theirs.
"""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from edge_reid.agent.agent_parts import AgentParts
from edge_reid.agent.corrections import PublishedName
from edge_reid.agent.observers import Observer
from edge_reid.agent.pipeline import Step
from edge_reid.core.types import Crop, Embedding, Hit, HitType, Image, Known
from edge_reid.mqtt.message import Message
from edge_reid.vision.crops import crop_jpeg

_CROPS_KEPT = 64


class HitPictures(Observer):
    """Publishes the best crop of every hit that tells something new."""

    def __init__(self) -> None:
        self._parts: AgentParts | None = None
        self._crops: OrderedDict[int, tuple[Embedding, Crop]] = OrderedDict()  # by the first's id
        self._shown: dict[str, PublishedName] = {}  # by camera

    def opened(self, parts: AgentParts, /) -> None:
        """The agent is built."""
        self._parts = parts

    def stepped(self, step: Step, /) -> None:
        """A frame went through."""
        if self._parts is None or self._parts.uplink is None:
            return
        self._keep(step)
        self._take_wrong_ones_away(self._parts)
        for hit in step.hits:
            if hit.type in {HitType.NEW, HitType.UPDATE} and isinstance(hit.decision, Known):
                self._show(self._parts, step.camera, hit, hit.decision.identity)

    def _keep(self, step: Step) -> None:
        for crop, embedding in zip(step.crops, step.embeddings, strict=True):
            self._crops[id(embedding)] = embedding, crop
        while len(self._crops) > _CROPS_KEPT:
            self._crops.popitem(last=False)

    def _show(self, parts: AgentParts, camera: str, hit: Hit, identity: str) -> None:
        kept = (self._crops.get(id(embedding)) for embedding in hit.embeddings)
        best = next(filter(None, kept), None)
        if best is not None and identity in parts.policies.index:
            self._shown[camera] = PublishedName(camera, hit.track_id, identity)
            _publish(parts, camera, best[1].image)

    def _take_wrong_ones_away(self, parts: AgentParts) -> None:
        wrong = {one.name for one in parts.wrong_names.done}
        for camera, name in list(self._shown.items()):
            if name in wrong or name.identity not in parts.policies.index:
                del self._shown[camera]
                _publish(parts, camera, np.full((64, 32, 3), 128, np.uint8))


def _publish(parts: AgentParts, camera: str, image: Image) -> None:
    assert parts.uplink is not None, "else nobody is told"  # noqa: S101
    topic = parts.uplink.address.picture(camera)
    parts.uplink.publisher.pass_on(Message(topic, crop_jpeg(image)))
