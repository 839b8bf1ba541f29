"""The agents of a site as a table, for `edge-reid fleet`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timezone

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from edge_reid.consumers.fleet import FleetMember
from edge_reid.consumers.presence import is_overdue
from edge_reid.core.foreign_text import shown
from edge_reid.wire.payloads import (
    AgentStatus,
    CameraBrief,
    CameraStatus,
    DriftFigures,
    LookFigures,
    StrangersState,
)

LARGE_SITE = 50
"""With more agents than this, cameras that run well are counted."""
_UPDATE_STYLES = {"failed": "red", "taken-back": "red", "waiting": "yellow"}
_CAMERA_STYLES = {
    "running": "green",
    "inactive": "dim",
    "starting": "cyan",
    "stalled": "yellow",
    "failed": "red",
}
_WELL = ("running", "inactive")


def fleet_table(
    members: Sequence[FleetMember], site: str, trouble: str = "", *, now: datetime | None = None
) -> Table:
    """A row an agent; `trouble` stands below the table."""
    moment = now or datetime.now(timezone.utc)
    online = sum(member.presence(moment) == "online" for member in members)
    table = Table(
        box=SIMPLE_HEAD,
        title=f"{site}: {online} of {len(members)} agents online",
        caption=Text(shown(trouble), "table.caption") if trouble else None,
        title_justify="left",
        caption_justify="left",
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for name in ("agent", "state", "release", "model", "gallery"):
        table.add_column(name, overflow="fold")
    for name in ("waiting", "dropped"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("cameras", overflow="fold")
    for member in members:
        table.add_row(*_cells(member, moment, in_short=len(members) > LARGE_SITE))
    return table


def _cells(member: FleetMember, now: datetime, *, in_short: bool) -> tuple[Text, ...]:
    status = member.status
    cameras = Text("\n").join(_cameras(member, now, in_short=in_short))
    if status is None:
        none = [Text("–")] * 4
        return (
            Text(member.name, "bold"),
            Text("no status", "red"),
            _release(member),
            *none,
            cameras,
        )
    return (
        Text(member.name, "bold"),
        _state(member, status, now),
        _release(member),
        Text(shown(status.model_id[:8])),
        _gallery(status, now),
        Text(str(status.outbox_depth), "yellow" if status.outbox_depth else ""),
        Text(str(status.events_dropped), "red" if status.events_dropped else ""),
        cameras,
    )


def _cameras(member: FleetMember, now: datetime, *, in_short: bool) -> list[Text]:
    """A line a camera; in short those that are well are counted: `4 running`, `1 inactive`."""
    is_online = member.presence(now) == "online"
    well = {
        name
        for name in member.camera_states
        if in_short and is_online and _is_well(member.cameras.get(name), now)
    }
    lines = [
        _camera_line(member, name, brief, now, online=is_online)
        for name, brief in member.camera_states.items()
        if name not in well
    ]
    counts: Counter[str] = Counter(member.cameras[name].state for name in well)
    counted = [
        Text(f"{counts[state]} {state}", _CAMERA_STYLES[state]) for state in _WELL if counts[state]
    ]
    return [*counted, *lines]


def _camera_line(
    member: FleetMember, name: str, brief: CameraBrief | None, now: datetime, *, online: bool
) -> Text:
    """How a camera of an agent does, by its own status if it has one."""
    if name in member.cameras:
        return _camera(member.cameras[name], now, online=online)
    if brief is None:
        return Text(f"{shown(name)} –", "dim")
    fault = f": {brief.fault}" if brief.fault else ""
    style = _CAMERA_STYLES.get(brief.state, "") if online else "dim"
    return Text(f"{shown(name)} {brief.state}{_given_up(brief.degraded, None)}{fault}", style)


def _given_up(degraded: bool | None, looks: LookFigures | None) -> str:
    """What a device that is too slow does not look at: `, 3.1 of 5 looks/s`."""
    if not degraded:
        return ""
    return f", {looks.present_hz:.1f} of {looks.wanted_hz:g} looks/s" if looks else ", degraded"


def _is_well(camera: CameraStatus | None, now: datetime) -> bool:
    if camera is None or camera.state not in _WELL or camera.reason or camera.degraded:
        return False
    return not is_overdue(camera.at, camera.period_s, now)


def _state(member: FleetMember, status: AgentStatus, now: datetime) -> Text:
    """`online 3 h`, `offline 2 min: stopped` or `lost; had connected 5 d ago`, and a line for every
    fault that the status reports.
    """
    presence = member.presence(now)
    if presence == "silent":
        lines = [Text(f"silent for {age_text(status.at, now)}, was online", "yellow")]
    elif presence == "online":
        lines = [Text(f"online {age_text(status.started_at, now)}", "green")]
    elif presence == "lost":
        lines = [Text(f"lost; had connected {age_text(status.at, now)} ago", "red")]
    else:
        reason = f": {shown(status.reason)}" if status.reason else ""
        lines = [Text(f"offline {age_text(status.at, now)}{reason}", "red")]
    lines += [
        Text(
            f"name taken twice: also on {shown(twin.host)}, {twin.outbox_depth} events wait there",
            "red",
        )
        for twin in member.duplicates.values()
    ]
    if status.camera_taken:
        lines.append(Text(shown(status.camera_taken), "red"))
    if status.refused:
        waiting = f"; {status.events_refused} events wait for it" if status.events_refused else ""
        lines.append(Text(f"broker {shown(status.refused)}{waiting}", "red"))
    if status.outbox_damaged:
        lines.append(Text(f"outbox damaged: {shown(status.outbox_damaged)}", "red"))
    if status.commands and status.commands.threshold_set is not None:
        lines.append(Text(f"threshold set to {status.commands.threshold_set:g}", "yellow"))
    if status.commands and status.commands.ignored:
        lines.append(Text(f"{status.commands.ignored} messages were no commands", "yellow"))
    lines += _sharing(status.strangers)
    return Text("\n").join(lines)


def _sharing(strangers: StrangersState | None) -> list[Text]:
    """`shares 12 strangers, has 30 of 2 agents`, and what is wrong with that."""
    if strangers is None:
        return []
    others = f"has {strangers.heard} of {strangers.heard_from} others"
    lines = [Text(f"shares {strangers.shared} strangers, {others}", "dim")]
    if strangers.refused:
        lines.append(Text(f"{strangers.refused} messages of strangers refused", "yellow"))
    if strangers.trouble:
        lines.append(Text(f"strangers: {shown(strangers.trouble)}", "red"))
    return lines


def _release(member: FleetMember) -> Text:
    """The release of the device, or else the version of the agent; below it an unfinished update:
    `1.1 waiting: waits for gate-1 …`.
    """
    update = member.update
    if update is None:
        return Text(shown(member.status.version) if member.status else "–")
    text = Text(shown(update.release))
    if update.state != "current":
        reason = f": {shown(update.reason)}" if update.reason else ""
        wanted = f"{shown(update.wanted)} " if update.wanted else ""
        text.append(f"\n{wanted}{update.state}{reason}", _UPDATE_STYLES.get(update.state, ""))
    return text


def _gallery(status: AgentStatus, now: datetime) -> Text:
    """`v7, 3 d old`, and why a newer one is not in force."""
    text = Text(f"v{status.gallery_version}")
    gallery = status.gallery
    if gallery and gallery.created_at:
        text.append(f", {age_text(gallery.created_at, now)} old")
    if gallery and gallery.refused:
        text.append(f"\n{shown(gallery.refused)}", "red")
    return text


def _camera(camera: CameraStatus, now: datetime, *, online: bool) -> Text:
    """`gate running 9.8/s`; dim if the agent is offline or its camera silent."""
    rate = f" {camera.fps:.1f}/s" if camera.fps is not None and camera.state == "running" else ""
    dropped = f", {camera.frames_dropped} dropped" if camera.frames_dropped else ""
    given_up = _given_up(camera.degraded, camera.looks)
    reason = f": {shown(camera.reason)}" if camera.reason else ""
    until = f" until {camera.inactive_until[:16]}Z" if camera.inactive_until else ""
    silent = is_overdue(camera.at, camera.period_s, now)
    said = f", silent for {age_text(camera.at, now)}" if silent else ""
    style = _CAMERA_STYLES.get(camera.state, "") if online and not silent else "dim"
    drift = _drift(camera.drift)
    line = f"{camera.camera} {camera.state}{rate}{until}{given_up}{dropped}{drift}{said}{reason}"
    return Text(line, style)


def _drift(drift: DriftFigures | None) -> str:
    """What unknown people have done to the promised rate: `, drift: 6.5% of unknown named`."""
    if drift is None or drift.state == "none":
        return ""
    return f", drift: about {drift.fpir:.1%} of unknown people named"


def age_text(at: str, now: datetime) -> str:
    """Age of a time on the wire: `40 s`, `12 min`, `5 h`, `3 d`; `0 s` if it is in the future."""
    try:
        then = datetime.fromisoformat(at.replace("Z", "+00:00"))
    except ValueError:  # the pattern of the wire lets a thirteenth month pass
        return "?"
    seconds = max(0.0, (now - then).total_seconds())
    for unit, length_s in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length_s:
            return f"{seconds // length_s:.0f} {unit}"
    return f"{seconds:.0f} s"
