"""Which cameras of an agent have a person in view, and which hit their state tells."""

from __future__ import annotations

from dataclasses import dataclass

from edge_reid.wire.payloads import HitPayload


@dataclass(frozen=True, slots=True)
class IdentityNews:
    """What the state of an identity is to say."""

    hit: HitPayload
    views: tuple[HitPayload, ...]
    """The last hit of each camera that has the person in view."""


class Sightings:
    """One identity, as its hits tell."""

    def __init__(self) -> None:
        self._published_seq = 0  # of the hit that was taken in when this was told
        self._published: IdentityNews | None = None
        self._views: dict[str, HitPayload] = {}  # by camera; a camera has a person in view once

    def take_in(self, hit: HitPayload, *, is_inherited: bool = False) -> IdentityNews | None:
        """What is to be told after this hit; None: what was told before.

        The end of a track, and a correction, tell nothing while the person is in view elsewhere,
        but that this view is over. A hit that is sent again, as its connection was lost, tells the
        same again. What is inherited from another outbox is older than its number.
        """
        if hit.seq < self._published_seq:  # something newer was told since
            return None
        if is_inherited and self._published and hit.last_seen < self._published.hit.last_seen:
            return None
        if hit.is_over:
            self._close(hit)
        else:
            self._views[hit.camera] = hit
        views = tuple(self._views.values())
        shown = max(views, key=lambda view: view.seq) if hit.is_over and views else hit
        news = IdentityNews(shown, views)
        if news == self._published and hit.seq != self._published_seq:
            return None
        self._published, self._published_seq = news, hit.seq
        return news

    def _close(self, end: HitPayload) -> None:
        view = self._views.get(end.camera)
        if view and _track(view) == _track(end):
            del self._views[end.camera]


def _track(hit: HitPayload) -> tuple[int, str]:
    """A key that no other track of the camera has, of runs before this one too."""
    return hit.track_id, hit.first_seen
