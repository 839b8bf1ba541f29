"""A film of a run: every frame with boxes, track numbers and decisions."""

from __future__ import annotations

from edge_reid.agent.observers import Observer
from edge_reid.agent.pipeline import Step
from edge_reid.vision.annotate import VideoWriter, draw, label_for


class AnnotatedFilm(Observer):
    """Draws and writes what it observes.

    Args:
        writer: is closed at the end.
    """

    def __init__(self, writer: VideoWriter) -> None:
        self._writer = writer

    def stepped(self, step: Step, /) -> None:
        labels = {track_id: label_for(decision) for track_id, decision in step.decisions.items()}
        self._writer.write(draw(step.frame.image, step.tracks, labels))

    def closed(self) -> None:
        self._writer.close()
