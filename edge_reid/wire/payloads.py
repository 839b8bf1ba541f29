"""The payload classes of the wire contract, version 1: what stands in the JSON, and its schema.

Fields that a class does not know are ignored when reading, so that a consumer outlives a newer
agent of the same schema. Numbers and times arrive here already rounded (see `wire`).

Everything has a bound: a body comes from whoever may write on its topic. Names, ids, numbers and
times outside of theirs are refused; words are cut, for an older agent may have had more to say.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    TypeAdapter,
)

from edge_reid.core.anonymous_names import STRANGER_PATTERN
from edge_reid.core.config.section import Name

TIME_PATTERN = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"

WORDS_MAX = 1000
"""Characters of a reason, and of anything else that is said in words; the rest is cut off."""
LINES_MAX = 100
"""Of a list of such words; the rest is left out."""
SILENT_PERIODS = 3
"""Who has not told its status for so many of its periods is gone."""
NUMBER_MAX = 2**53 - 1
"""Every JSON reader and every database has whole numbers up to here, exactly."""


def utc_s(at: str) -> float:
    """`2026-03-01T12:00:00.250Z` as Unix seconds; ValueError when there is no such moment."""
    return datetime.fromisoformat(at.replace("Z", "+00:00")).timestamp()


def _moment(at: str) -> str:
    utc_s(at)
    return at


def _shortened(words: object) -> object:
    too_long = isinstance(words, str) and len(words) > WORDS_MAX
    return f"{words[: WORDS_MAX - 1]}…" if too_long else words  # type: ignore[index]


def _fewer(lines: object) -> object:
    return lines[:LINES_MAX] if isinstance(lines, list | tuple) else lines


Time = Annotated[
    str,
    Field(pattern=TIME_PATTERN, json_schema_extra={"format": "date-time"}),
    AfterValidator(_moment),
]
"""RFC 3339 in UTC with milliseconds: `2026-03-01T12:00:00.250Z`."""

Words = Annotated[str, Field(max_length=WORDS_MAX), BeforeValidator(_shortened)]
"""For people to read; longer ones are cut."""
Lines = Annotated[
    tuple[Words, ...], Field(max_length=LINES_MAX), FailFast(), BeforeValidator(_fewer)
]

Similarity = Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)]
Margin = Annotated[float, Field(ge=-2, le=2, allow_inf_nan=False)]
Pixels = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
Side = Annotated[int, Field(gt=0, le=1_000_000)]
Count = Annotated[int, Field(ge=0, le=NUMBER_MAX)]
Ordinal = Annotated[int, Field(ge=1, le=NUMBER_MAX)]
PeriodS = Annotated[float, Field(gt=0, le=86_400)]
Rate = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
Milliseconds = Annotated[float, Field(ge=-1e9, le=1e9, allow_inf_nan=False)]
FaultWord = Annotated[str, Field(pattern=r"^[a-z-]{1,32}$")]
CommandWord = Annotated[str, Field(pattern=r"^[a-z-]{1,32}$")]
EventId = Annotated[str, Field(max_length=64)]
Corrector = Literal["decision", "removal", "operator"]
"""What takes a published name back: a better decision of the same track, that the person is not
enrolled any more, or somebody who looked at it."""
IdentityName = Annotated[str, Field(min_length=1, max_length=64)]
StrangerName = Annotated[str, Field(pattern=STRANGER_PATTERN, max_length=64)]

_SINCE_0_2: dict[str, Any] = {"x-since": "0.2.0"}
_SINCE_0_5: dict[str, Any] = {"x-since": "0.5.0"}
_SINCE_0_6: dict[str, Any] = {"x-since": "0.6.0"}
_SINCE_0_13: dict[str, Any] = {"x-since": "0.13.0"}
"""Of a field that an older edge-reid of the same schema does not send: it may be missing."""


_CACHED: Literal["keys"] = "keys"
"""What pydantic keeps of the messages it reads: of ids and times, which never come again, it would
keep 16,384."""


class Payload(BaseModel):
    """Anything that is published."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        protected_namespaces=(),
        use_attribute_docstrings=True,
        cache_strings=_CACHED,
    )

    def to_json(self) -> str:
        """The bytes on the wire: one compact line, fields in the order of the class."""
        return self.model_dump_json(by_alias=True)


class CameraEvent(Payload):
    """What all events of a camera have in common, which wait in an outbox and go through sinks."""

    schema_: Annotated[str, Field(alias="schema")] = ""
    event_id: EventId
    """UUID made from what the event says: the same event has the same id however often it comes."""
    seq: Ordinal
    """Rises by one with every event of this agent; a gap says that events were dropped."""
    type: str
    site: Name
    agent: Name
    camera: Name
    track_id: Ordinal
    """Rises within one run of one camera; together with `first_seen` it names a track."""
    continues: Ordinal | None = Field(None, json_schema_extra=_SINCE_0_6)
    """The `track_id` that this person's visit began as, where it is another one: they were out of
    sight for moments, or swapped numbers with somebody they met."""

    @property
    def named(self) -> str | None:
        """The identity that it names, if any."""
        return None


class EventPayload(CameraEvent):
    """What a hit and an unknown have in common. Both have the same fields, for the sinks' sake, but
    for `corrects` and `corrected_by`.
    """

    type: Literal["new", "update", "end", "correction"]
    """First decision on a track, a clearly better one, or the end of the track."""
    identity: IdentityName | None
    """The name as enrolled; null for an unknown."""
    stranger: StrangerName | None = Field(None, json_schema_extra=_SINCE_0_2)
    """Anonymous name of somebody unknown, the same whenever this device sees them again while it
    remembers them. Null when it remembers nobody, in a hit, and in `new` when they were not seen
    before."""
    similarity: Similarity | None
    """Cosine of the track and the nearest identity; null when the gallery is empty."""
    threshold: Similarity
    """Least similarity of a known identity, in force at the decision."""
    margin: Margin | None
    """Lead over the best other identity; null when there is none."""
    crops: Count
    """Crops of the track that the decision rests on."""
    captured_at: Time
    """When the frame was taken that the decision rests on."""
    decided_at: Time
    first_seen: Time
    """Of the track."""
    last_seen: Time
    """Of the track, so far."""
    box: tuple[Pixels, Pixels, Pixels, Pixels]
    """`[x1, y1, x2, y2]` in pixels of the frame, half-open."""
    frame_size: tuple[Side, Side]
    """`[width, height]` in pixels."""
    zones: Annotated[tuple[Name, ...], Field(max_length=LINES_MAX)] | None = Field(
        None, json_schema_extra=_SINCE_0_6
    )
    """Names of the camera's zones in which the middle of the lower edge of `box` is, where the
    person stands; null when the camera has no zones."""
    model_id: Words
    """Content hash of the embedding model."""
    gallery_version: Count
    replayed: bool
    """Whether it waited in the outbox for a broker."""

    @property
    def named(self) -> str | None:
        return self.identity

    @property
    def is_over(self) -> bool:
        """Whether the person is not in view by this track any more, or never was."""
        return self.type in {"end", "correction"}


class HitPayload(EventPayload):
    """A track shows a known identity; or, in a correction, does not show it after all."""

    schema_: Annotated[Literal["edge-reid.hit/1"], Field(alias="schema")] = "edge-reid.hit/1"
    type: Literal["new", "update", "end", "correction"]
    """First decision on a track, a clearly better one, or the end of the track. `correction`, from
    0.6.0 on: what was said of this track and this identity is taken back, as `corrected_by` says;
    whom the track shows, if anybody, is told by an event of its own."""
    identity: IdentityName
    stranger: None = Field(None, json_schema_extra=_SINCE_0_2)
    """Null: the person is known."""
    similarity: Similarity
    corrects: EventId | None = Field(None, json_schema_extra=_SINCE_0_6)
    """Of a correction: the last event that is taken back. All others of this identity and track are
    as well. No other event has it."""
    corrected_by: Corrector | None = Field(None, json_schema_extra=_SINCE_0_6)
    """Of a correction: a better `decision` of the same track, the `removal` of the person, or an
    `operator` who says that it was somebody else. No other event has it."""

    def to_json(self) -> str:
        """As of any payload; what is no correction has the fields that it always had."""
        ours = {"corrects", "corrected_by"}
        return self.model_dump_json(by_alias=True, exclude=ours if self.corrects is None else None)


class UnknownPayload(EventPayload):
    """A track was seen well enough to say that it shows nobody enrolled."""

    schema_: Annotated[Literal["edge-reid.unknown/1"], Field(alias="schema")] = (
        "edge-reid.unknown/1"
    )
    type: Literal["new", "update", "end"]
    """First decision on a track, a clearly better one, or the end of the track."""
    identity: None = None
    margin: None = None


class ZonePayload(CameraEvent):
    """Somebody entered or left a zone of a camera, loiters there, or crossed a line. It names
    nobody: hits tell of the same track who it is.
    """

    schema_: Annotated[Literal["edge-reid.zone/1"], Field(alias="schema")] = "edge-reid.zone/1"
    type: Literal["entered", "left", "loitering", "crossed"]
    """`left` also tells of somebody who was lost in the zone. `loitering`: they have been in it for
    the time that is configured; once a stay. `crossed`: of a line. In time there may be more."""
    zone: Name | None
    """Of which it tells; null for a line."""
    line: Name | None
    """Of which it tells; null for a zone."""
    direction: Literal["in", "out"] | None
    """Over a line. `in`: to the right of who looks from its first end to its second."""
    at: Time
    """When they did. Of somebody who was lost in the zone: when they were last seen."""
    entered_at: Time | None
    """Of `left` and `loitering`: since when they were in the zone; else null."""
    decided_at: Time
    """When this was found: later than `at` where somebody was waited for who might come back as
    another track, or might be another one come back."""
    first_seen: Time
    """Of the track."""
    last_seen: Time
    """Of the track, so far."""
    box: tuple[Pixels, Pixels, Pixels, Pixels]
    """`[x1, y1, x2, y2]` in pixels of the frame, half-open, when it was last seen by then; the
    person stands where the middle of its lower edge is."""
    frame_size: tuple[Side, Side]
    """`[width, height]` in pixels."""
    replayed: bool
    """Whether it waited in the outbox for a broker."""


class IdentityView(Payload):
    """A track that shows an identity at this moment."""

    camera: Name
    track_id: Ordinal
    similarity: Similarity
    first_seen: Time
    last_seen: Time
    """As of the last hit of this track."""


class IdentityState(Payload):
    """Where and when an identity was last seen: the newest hit in short. Retained."""

    schema_: Annotated[Literal["edge-reid.identity/1"], Field(alias="schema")] = (
        "edge-reid.identity/1"
    )
    identity: IdentityName
    """The name as enrolled; the topic holds it in the letters of a topic."""
    in_view: bool
    """Whether the track was still followed then."""
    site: Name
    agent: Name
    camera: Name
    track_id: Ordinal
    similarity: Similarity
    first_seen: Time
    """Of the track."""
    last_seen: Time
    event_id: EventId
    """Of the hit that this tells."""
    views: Annotated[tuple[IdentityView, ...], Field(max_length=LINES_MAX)] | None = Field(
        None, json_schema_extra=_SINCE_0_6
    )
    """Where this agent has the person in view now, by camera; empty: nowhere. Two cameras may see a
    person at once; what stands beside is then of the newest hit among them."""


class LookFigures(Payload):
    """How often and how late a live camera is looked at, over the last half minute."""

    wanted_hz: Rate
    """Looks a second, as configured."""
    present_hz: Rate
    """Looks a second."""
    p50_ms: Milliseconds | None
    """From when the camera took a frame to when what it brought was committed: the median."""
    p95_ms: Milliseconds | None
    """The same: 95 of 100 looks took no longer."""
    events_p95_ms: Milliseconds | None
    """The same, of looks that brought events; null when none did."""
    missed: Count
    """Since the start: frames that were to be looked at when newer ones came."""
    crops_per_look: Count | None
    """So many people are embedded at most; null: all."""
    uncompared: Count | None = Field(None, json_schema_extra=_SINCE_0_13)
    """Since the start: people near others who were not compared with tracks, as no time was
    left."""


class StreamFigures(Payload):
    """How the two streams of a camera do: a small one for detection, a large one for crops."""

    looked_at: Literal["detect", "crop"]
    """In whose pictures people are detected: `crop` only while the small stream gives nothing."""
    crop_stream: Literal["closed", "opening", "open"]
    """The large stream is read only while somebody is in view; `opening`: no picture has come
    yet."""
    opened: Count
    """How often it was, since the start."""
    crops_large: Count
    """Crops embedded since the start that were cut from the large stream."""
    crops_small: Count
    """The same, cut from the pictures that people were detected in."""
    detect_fault: FaultWord | None
    """What is wrong with the small stream, a word as in the camera's `fault`; null: nothing."""
    crop_fault: FaultWord | None
    """The same of the large stream; while it is closed, of the last attempt."""


class DriftFigures(Payload):
    """How alike unknown people at a camera are to those enrolled, against the model's manifest."""

    state: Literal["none", "higher", "lower"]
    """`higher`: they are more alike, so that more of them get a name than was accepted; `lower`:
    less; `none`: neither can be said of so many tracks."""
    unknown_tracks: Count
    """That this rests on."""
    shift: Margin
    """Similarity by which they are more alike than measured."""
    fpir: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
    """Share of unknown people who get a name, as estimated when this was found."""
    threshold_advised: Similarity | None
    """That would keep the accepted share; null when there is no drift, or a threshold is fixed."""
    adapts: bool
    """Whether the agent moves its threshold by itself, as far as `decide.adapt_most` allows."""


class CameraStatus(Payload):
    """How a camera does. Retained; holds only while its agent is online."""

    schema_: Annotated[Literal["edge-reid.camera/1"], Field(alias="schema")] = "edge-reid.camera/1"
    site: Name
    agent: Name
    camera: Name
    state: Literal["starting", "running", "stalled", "inactive", "failed", "ended"]
    """`ended`: the source is over, or the agent was stopped. `inactive`, from 0.6.0 on: it is
    closed, as it is not to be watched now."""
    reason: Words | None = None
    """What is wrong, in words; null when nothing is."""
    fault: FaultWord | None = Field(None, json_schema_extra=_SINCE_0_5)
    """What is wrong with the camera, in one word: `unknown-host`, `unreachable`, `refused`,
    `no-answer`, `certificate`, `login`, `not-found`, `elsewhere`, `declined`, `hung-up`,
    `no-picture`, `no-key-frame`, `too-large`, `frozen`, `damaged`, `late`, `black`, `covered`,
    `one-stream` (one of its two streams fails, and the other does the work of both) or
    `streams-differ` (they do not show the same; only in `streams`); in time there may be more. Null
    when nothing is, or it is not the camera."""
    fps: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] | None = None
    """Frames per second since the status before; null before anything can be said."""
    frames: Count = 0
    """Processed since the start."""
    frames_dropped: Count = 0
    """Not processed, because a newer one was there or because they came damaged."""
    last_frame_at: Time | None = None
    persons_in_view: Count | None = Field(None, json_schema_extra=_SINCE_0_6)
    """Confirmed tracks at the last frame, known or not; null when no frames come."""
    looks: LookFigures | None = Field(None, json_schema_extra=_SINCE_0_6)
    """Null for a recording."""
    degraded: bool | None = Field(None, json_schema_extra=_SINCE_0_6)
    """Whether looks or crops are given up to keep the promised latency, or are missed because the
    device is too slow; `looks` says how many. Null for a recording."""
    streams: StreamFigures | None = Field(None, json_schema_extra=_SINCE_0_6)
    """Null unless the camera has a small stream beside a large one."""
    drift: DriftFigures | None = Field(None, json_schema_extra=_SINCE_0_6)
    """Null while too few people were decided unknown, and for a recording."""
    inactive_until: Time | None = Field(None, json_schema_extra=_SINCE_0_6)
    """When it is watched again, by its configuration; null where it is not `inactive`."""
    period_s: PeriodS | None = Field(None, json_schema_extra=_SINCE_0_5)
    """It is written at least so often: one that is far older is of an agent that is gone. Null
    where nothing more will come, as in `ended`."""
    at: Time
    """When this was written."""


class GalleryState(Payload):
    """How an agent that syncs its gallery stands."""

    version: Count
    """In force; 0 before the first."""
    created_at: Time | None
    """When that version was published: its age."""
    checked_at: Time | None
    """When the source last told its newest version."""
    source: Words
    """`mqtt`, a URL or a folder."""
    refused: Words | None
    """Why the newest version is not in force, in words; null when it is."""
    erased_through: Count
    """Nothing of any version before this one is left: not on the disk, not waiting in the outbox,
    not retained by us at the broker. A person removed in this version or before is gone."""


class CommandsState(Payload):
    """How an agent stands that takes commands."""

    allowed: Annotated[tuple[CommandWord, ...], Field(max_length=LINES_MAX), FailFast()]
    """By name; from 0.6.0 on a reader takes those of newer agents, too."""
    done: Count
    """Since the start, as the next two."""
    refused: Count
    """Each with a reason on `result`."""
    ignored: Count
    """Messages on its command topic that were no commands, or lay there retained."""
    threshold_set: Similarity | None
    """By `set-threshold`, until the next reload or start; null: as configured."""


class StrangersState(Payload):
    """How an agent stands that shares strangers with the other devices of its site."""

    shared: Count
    """Of this device's strangers, those that lie at the broker for the others."""
    heard: Count
    """Of others' strangers, those that it knows."""
    heard_from: Count
    """Agents whose they are."""
    refused: Count
    """Messages since the start that were not taken: forged, damaged, out of date."""
    trouble: Words | None
    """Why it does not share now, in words; null when it does."""
    erased: Annotated[tuple[EventId, ...], Field(max_length=LINES_MAX)]
    """Of the erasures that stand at the broker, those that are done: nothing of these people is
    left on this device, nor retained by it."""


class CameraBrief(Payload):
    """How a camera of an agent does, in short."""

    camera: Name
    state: Literal["starting", "running", "stalled", "inactive", "failed", "ended"]
    fault: FaultWord | None = None
    """As in the camera's own status, as is the next."""
    degraded: bool = False


LOST = "connection lost"
"""The reason in an agent's last will."""


class AgentStatus(Payload):
    """Whether an agent is there. Retained, and also its last will."""

    schema_: Annotated[Literal["edge-reid.agent/1"], Field(alias="schema")] = "edge-reid.agent/1"
    site: Name
    agent: Name
    state: Literal["online", "offline"]
    reason: Words | None = None
    """Why it is offline: `stopped`, or `connection lost` when the broker says so in its place."""
    version: Words
    """Of edge-reid."""
    host: Words | None = None
    """Name of the machine it runs on."""
    session: Words | None = None
    """Drawn at every start: tells two agents of one name apart."""
    model_id: Words
    gallery_version: Count
    gallery: GalleryState | None = None
    """Null for an agent whose gallery is its own."""
    commands: CommandsState | None = Field(None, json_schema_extra=_SINCE_0_2)
    """Null for an agent that takes none."""
    strangers: StrangersState | None = Field(None, json_schema_extra=_SINCE_0_6)
    """Null for an agent that does not share them."""
    cameras: Annotated[tuple[Name, ...], Field(max_length=LINES_MAX)] | None = Field(
        None, json_schema_extra=_SINCE_0_5
    )
    """Whose events it tells, those that wait included. A consumer takes no event of another camera
    in this agent's name; null says nothing."""
    camera_states: Annotated[tuple[CameraBrief, ...], Field(max_length=LINES_MAX)] | None = Field(
        None, json_schema_extra=_SINCE_0_6
    )
    """How each of its cameras does, while it is online; each also has a status of its own."""
    camera_taken: Words | None = Field(None, json_schema_extra=_SINCE_0_5)
    """In words: another agent tells of a camera of this one too; null when none does."""
    period_s: PeriodS | None = Field(None, json_schema_extra=_SINCE_0_5)
    """It is written at least so often while it is online: one that is `online` and far older has
    lost its power, and its will was lost with a broker."""
    outbox_depth: Count
    """Events waiting. Of a lost agent: when it connected."""
    outbox_bytes: Count
    events_dropped: Count
    """Ever lost to the caps of the outbox, to a full disk or to damage; and those that the broker
    did not take and that named somebody who is erased."""
    events_refused: Count = Field(0, json_schema_extra=_SINCE_0_5)
    """Of those waiting: what the broker does not take from this agent."""
    refused: Words | None = Field(None, json_schema_extra=_SINCE_0_5)
    """On which topics, and why, in words; null when it takes everything."""
    outbox_damaged: Words | None = None
    """File name of a damaged outbox that was set aside by this run; its events may be lost."""
    started_at: Time
    """Of the agent."""
    at: Time
    """When this was written. Of a lost agent: when it connected."""

    @property
    def is_lost(self) -> bool:
        """Whether the broker says `offline` in its place: nobody knows since when it is."""
        return self.state == "offline" and self.reason == LOST


class AgentDuplicate(Payload):
    """An agent that stays away because another one of its name is online. Retained for a while."""

    schema_: Annotated[Literal["edge-reid.duplicate/1"], Field(alias="schema")] = (
        "edge-reid.duplicate/1"
    )
    site: Name
    agent: Name
    host: Words
    """Where the one runs that stays away."""
    session: Words
    outbox_depth: Count
    """Events that wait there meanwhile."""
    started_at: Time
    at: Time
    """When this was written."""


class EventsStored(Payload):
    """A sink has these events of an agent on its disk; the agent need not keep them longer."""

    schema_: Annotated[Literal["edge-reid.stored/1"], Field(alias="schema")] = "edge-reid.stored/1"
    site: Name
    agent: Name
    event_ids: Annotated[tuple[EventId, ...], Field(min_length=1, max_length=1000), FailFast()]


class DeviceUpdate(Payload):
    """What a device runs, and how it stands with the release that is published. Retained.

    One agent of a device tells it for all.
    """

    schema_: Annotated[Literal["edge-reid.update/1"], Field(alias="schema")] = "edge-reid.update/1"
    site: Name
    agent: Name
    release: Words
    """Installed."""
    target: Name
    """What kind of device it is: `pi-bookworm`, …"""
    serial: Count
    """Of the head that this is about; 0: none is published."""
    wanted: Words | None
    """The release of that head."""
    state: Literal["current", "waiting", "fetching", "installing", "failed", "taken-back"]
    """`current`: it runs what is wanted, and well. `failed`: it will try again. `taken-back`: what
    was wanted did not run well here, and what ran before runs again: the roll-out has stopped."""
    reason: Words | None
    """Why, in words; null when there is nothing to say."""
    since: Time
    """When it came to be so."""
    at: Time
    """When this was written."""


AnyEvent: TypeAlias = HitPayload | UnknownPayload | ZonePayload
"""What cameras publish of people."""

_EVENT: TypeAdapter[AnyEvent] = TypeAdapter(
    Annotated[AnyEvent, Field(discriminator="schema_")],
    config=ConfigDict(cache_strings=_CACHED),
)


def parse_event(body: bytes) -> AnyEvent:
    """An event of a camera from the bytes of a message.

    Raises:
        ValueError: it is none.
    """
    return _EVENT.validate_json(body)
