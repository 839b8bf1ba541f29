"""A growing table of events, for `edge-reid watch` and `make demo`."""

from __future__ import annotations

from collections import Counter, deque
from typing import TypeGuard

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from edge_reid.core.foreign_text import shown
from edge_reid.wire.payloads import AnyEvent, EventPayload, HitPayload, ZonePayload

_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_red")
PEOPLE_MAX = 1000
"""People who are counted by name."""
_TYPE_STYLES = {
    "new": "bold green",
    "update": "cyan",
    "end": "dim",
    "correction": "bold yellow",
    "entered": "green",
    "left": "dim",
    "loitering": "bold yellow",
    "crossed": "blue",
}
_TAKEN_BACK = {
    "decision": ("decided anew", "decided anew: somebody else, or nobody enrolled"),
    "removal": ("removed", "removed from the gallery"),
    "operator": ("by operator", "somebody else, as an operator says"),
}
"""By what took a name back: why, in the width of a similarity, and in words."""


class HitTable:
    """The newest events, newest last; rich's `Console.print` and `Live` show it."""

    def __init__(self, *, rows: int = 20, title: str | None = None) -> None:
        self.title = title
        self.note = ""
        """Text under the table; empty: the number of events of each person."""
        self._rows: deque[AnyEvent] = deque(maxlen=rows)
        self._seen: Counter[str] = Counter()
        self._count = 0
        self._replayed = 0
        self._corrections = 0

    def add(self, event: AnyEvent) -> None:
        self._rows.append(event)
        is_correction = event.type == "correction"
        if isinstance(event, EventPayload) and not is_correction:
            who = event.identity or ""
            if who in self._seen or len(self._seen) < PEOPLE_MAX:
                self._seen[who] += 1
        self._count += 1
        self._replayed += event.replayed
        self._corrections += is_correction

    @property
    def count(self) -> int:
        """Events ever added."""
        return self._count

    def __rich__(self) -> Table:
        table = Table(
            box=SIMPLE_HEAD,
            title=self.title,
            caption=Text(shown(self.note or self._summary()), "table.caption"),
            title_justify="left",
            caption_justify="left",
            padding=(0, 1, 0, 0),  # all columns fit a terminal of 80
            pad_edge=False,
        )
        for name in ("time (UTC)", "camera", "identity"):
            table.add_column(name, no_wrap=True)
        for name in ("similarity", "margin", "crops", "track"):
            table.add_column(name, no_wrap=True, justify="right")
        table.add_column("event", no_wrap=True)
        for event in self._rows:
            table.add_row(*self._cells(event))
        return table

    def _cells(self, event: AnyEvent) -> tuple[Text, ...]:
        kind = Text(event.type, _TYPE_STYLES[event.type])
        kind += Text(" replayed" * event.replayed, "dim")
        if isinstance(event, ZonePayload):
            place = Text(_place(event), "italic")
            at, track = Text(event.at[11:21]), Text(f"#{event.track_id}")
            return at, Text(event.camera), place, Text(), Text(), Text(), track, kind
        if _is_correction(event):
            at, track = Text(event.decided_at[11:21]), Text(f"#{event.track_id}")
            who = Text("not ", "yellow").append(shown(event.identity), "strike")
            why = Text(_why(event)[0], "yellow")
            return at, Text(event.camera), who, why, Text(), Text(), track, kind
        return (
            Text(event.decided_at[11:21]),
            Text(event.camera),
            self._who(event),
            _similarity(event),
            Text("–" if event.margin is None else f"{event.margin:.2f}"),
            Text(str(event.crops)),
            Text(f"#{event.track_id}"),
            kind,
        )

    def _who(self, event: EventPayload) -> Text:
        if event.identity is None:
            return Text(event.stranger or "unknown", "dim italic")
        people = [name for name in self._seen if name]
        number = people.index(event.identity) if event.identity in people else 0
        colour = _COLOURS[number % len(_COLOURS)]
        return Text(shown(event.identity), f"bold {colour}")

    def _summary(self) -> str:
        people = ", ".join(f"{name} {count}" for name, count in self._seen.items() if name)
        parts = (
            people or "nobody known yet",
            f"unknown {self._seen['']}" if self._seen[""] else "",
            f"{self._corrections} taken back" if self._corrections else "",
            f"{self._replayed} replayed" if self._replayed else "",
        )
        return " · ".join(part for part in parts if part)


def event_text(event: AnyEvent) -> str:
    """An event as one plain line, for a pipe or a log."""
    replayed = "  replayed" if event.replayed else ""
    if isinstance(event, ZonePayload):
        what = f"{event.at}  {event.camera}  {_place(event)}"
        return f"{what}  track {event.track_id}  {event.type}{replayed}"
    if _is_correction(event):
        what = f"not {shown(event.identity)}  {_why(event)[1]}"
    else:
        who = shown(event.identity or event.stranger or "unknown")
        what = f"{who}  {_similarity(event)}"
    where = f"{event.decided_at}  {event.camera}"
    return f"{where}  {what}  track {event.track_id}  {event.type}{replayed}"


def _is_correction(event: EventPayload) -> TypeGuard[HitPayload]:
    """Whether it takes a name back, which a hit's row would seem to tell once more."""
    return event.type == "correction"


def _why(correction: HitPayload) -> tuple[str, str]:
    return _TAKEN_BACK.get(correction.corrected_by or "", ("taken back", "taken back"))


def _place(event: ZonePayload) -> str:
    """`zone desk`, or `line door, in`."""
    return f"zone {event.zone}" if event.zone else f"line {event.line}, {event.direction}"


def _similarity(event: EventPayload) -> Text:
    """`0.81 ≥ 0.62` for a hit, `0.41 < 0.62` for an unknown."""
    similarity = "–" if event.similarity is None else f"{event.similarity:.2f}"
    sign = "<" if event.identity is None else "≥"
    return Text(f"{similarity} {sign} {event.threshold:.2f}")
