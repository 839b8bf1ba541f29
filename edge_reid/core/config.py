"""The agent's configuration: one TOML file in, frozen settings out.

Unknown keys are mistakes, and every mistake is reported in one go. Units are in the names.
"""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge_reid.core.bundled_models import DETECTOR, EMBEDDING, shipped_model
from edge_reid.core.errors import ConfigError, UsageError
from edge_reid.core.names import NAME_PATTERN, RESERVED_LEVELS
from edge_reid.core.text_file import read_text_file
from edge_reid.core.validation_errors import describe_mistakes

if sys.version_info >= (3, 11):
    import tomllib
else:  # the same parser under its older name
    import tomli as tomllib

Name = Annotated[str, Field(pattern=NAME_PATTERN)]


def _camera_name(name: str) -> str:
    if name in RESERVED_LEVELS:
        raise ValueError(f"should be another name: {name} is a topic of its own in every site")
    return name


CameraName = Annotated[Name, AfterValidator(_camera_name)]
Share = Annotated[float, Field(gt=0, lt=1)]
Seconds = Annotated[float, Field(gt=0, le=86_400 * 366)]

RuntimeName = Literal["auto", "litert", "tflite-runtime"]


def runtime_name(word: str) -> RuntimeName:
    """The runtime that a word of the command line means; raises UsageError for any other."""
    for known in get_args(RuntimeName):
        if known == word:
            return known  # type: ignore[no-any-return]
    raise UsageError(f"--runtime: expected {', '.join(get_args(RuntimeName))}, got {word}")


CommandName = Literal["snapshot", "reload", "sync-now", "set-threshold"]


def _broker_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
        raise ValueError("should look like mqtt://host:1883 or mqtts://host:8883")
    if parts.username or parts.password:
        raise ValueError("should hold no login; set mqtt.username and mqtt.password_file")
    try:
        _ = parts.port
    except ValueError:
        raise ValueError("should have a port between 1 and 65535") from None
    return url


BrokerUrl = Annotated[str, AfterValidator(_broker_url)]


def _fingerprint(text: str) -> str:
    """As `openssl x509 -fingerprint -sha256` prints it, or bare."""
    digits = text.lower().removeprefix("sha256:").replace(":", "")
    if not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise ValueError("should be the 64 hexadecimal digits of a SHA-256")
    return digits


class _Section(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,  # a traceback would show passwords
    )


S = TypeVar("S", bound=_Section)


class SourceSettings(_Section):
    """Where frames come from."""

    uri: Annotated[str, Field(min_length=1)]
    """A video file, a camera index such as `0`, or an `rtsp://` URL. In a password in it, write `#`
    as `%23`, `/` as `%2F`, `?` as `%3F`, `@` as `%40` and `%` as `%25`."""
    start_time: datetime | None = None
    """For a file: wall clock of its first frame. Default: the Unix epoch, so that runs repeat."""
    stall_timeout_s: Seconds = 10.0
    """A live source that gives no new picture for so long is closed and opened again."""
    rtsp_transport: Literal["tcp", "udp"] = "tcp"
    """`udp` for cameras that send no other way: then packets get lost, and firewalls stop them."""
    ca_file: Path | None = None
    """Certificate authority for an `rtsps://` or `https://` camera; default: the system's."""
    tls_fingerprint: Annotated[str, AfterValidator(_fingerprint)] | None = None
    """SHA-256 of the camera's own certificate; it alone decides then."""
    allow_redirects: bool = False
    """Follow a camera that sends us on to other hosts, or gives a playlist. Then its certificate is
    not verified."""

    @model_validator(mode="after")
    def _fits_together(self) -> SourceSettings:
        is_tls = self.uri.lower().startswith(("rtsps://", "https://"))
        if (self.ca_file or self.tls_fingerprint) and not is_tls:
            raise ValueError("ca_file, tls_fingerprint: are of no use without rtsps:// or https://")
        if (self.ca_file or self.tls_fingerprint) and self.allow_redirects:
            raise ValueError("allow_redirects: is of no use with ca_file or tls_fingerprint")
        return self

    @property
    def start_utc_s(self) -> float:
        """`start_time` as Unix seconds; a time without a zone is UTC."""
        if self.start_time is None:
            return 0.0
        has_zone = self.start_time.tzinfo is not None
        return (
            self.start_time if has_zone else self.start_time.replace(tzinfo=timezone.utc)
        ).timestamp()


class ModelSettings(_Section):
    """Which models run, and on what."""

    detector: Path = Field(default_factory=lambda: shipped_model(DETECTOR))
    embedding: Path = Field(default_factory=lambda: shipped_model(EMBEDDING))
    runtime: RuntimeName = "auto"
    """`auto` takes LiteRT when it is installed, else tflite-runtime."""
    threads: Annotated[int, Field(ge=1, le=64)] = 2
    public_key: Path | None = None
    """Of the key that signs releases, and the manifests of models with them: one that another
    signed is refused, one that nobody signed is said. Without it no signature is looked at."""


class DetectSettings(_Section):
    """When the detector runs, and what of it counts."""

    rate_hz: Annotated[float, Field(gt=0, le=120)] = 5.0
    """Detections per second of video; tracks are predicted in between."""
    motion_gate: bool = True
    """Skip the detector while nothing moves and nobody is tracked."""
    strong_score: Share | None = None
    """Overrides the detector manifest: at or above, a detection may start a track."""
    weak_score: Share | None = None
    """Overrides the detector manifest: at or above, a detection may continue a track."""


class TrackSettings(_Section):
    """How detections become tracks."""

    min_detections: Annotated[int, Field(ge=1, le=100)] = 3
    """Detections before a track counts."""
    max_lost_s: Seconds = 2.0
    """A track not observed for so long ends."""
    min_iou: Share = 0.1
    """Least overlap between a predicted box and a strong detection."""


class EmbedSettings(_Section):
    """Which crops of a track are embedded."""

    crops_per_track: Annotated[int, Field(ge=1, le=64)] = 5
    """The best so many are kept for the decision."""
    min_height_px: Annotated[int, Field(ge=8, le=4096)] = 48
    """Smaller people are not embedded."""
    min_quality: Annotated[float, Field(ge=0, lt=1)] = 0.2
    min_interval_s: Seconds = 0.4
    """Between two crops of one track: neighbours in time say the same thing twice."""


class DecideSettings(_Section):
    """When a track is somebody."""

    target_fpir: Share = 0.01
    """Accepted share of strangers taken for somebody (false-positive identification rate)."""
    threshold: Annotated[float, Field(gt=-1, lt=1)] | None = None
    """Fixed similarity threshold; default: derived from `target_fpir` and the gallery's size."""
    min_margin: Annotated[float, Field(ge=0, lt=2)] = 0.05
    """Least lead over the best other identity."""
    min_crops: Annotated[int, Field(ge=1, le=64)] = 3
    """Crops before anything is said of a track that goes on; at its end one is enough."""
    update_gain: Annotated[float, Field(gt=0, lt=2)] = 0.05
    """A decision is told again when its similarity rose by so much, or the identity changed."""


class MqttSettings(_Section):
    """The broker."""

    url: BrokerUrl | None = None
    """`mqtt://host:port` or `mqtts://host:port`; None publishes nothing over MQTT."""
    root: Annotated[str, Field(pattern=r"^[a-z0-9_-]+(/[a-z0-9_-]+)*$")] = "edge-reid"
    username: str | None = None
    password_file: Path | None = None
    """A file whose first line is the password; never the password itself."""
    ca_file: Path | None = None
    """Certificate authority for `mqtts`; default: the system's."""
    cert_file: Path | None = None
    """Our own certificate for `mqtts`, where the broker asks for one."""
    key_file: Path | None = None
    """The private key of `cert_file`."""
    allow_plaintext: bool = False
    """Let `mqtt://` leave this machine: only on a network that nobody else can listen to."""
    keepalive_s: Annotated[int, Field(ge=5, le=3600)] = 30
    flush_timeout_s: Annotated[float, Field(ge=0, le=3600)] = 10.0
    """At the end of a run: how long to wait for the outbox to drain. What remains stays in it."""
    tls_insecure: Literal[False] = False
    """Verification cannot be turned off."""


class OutboxSettings(_Section):
    """The durable store that events wait in."""

    path: Path | None = None
    """Default: `outbox-<agent>.db` beside the gallery."""
    max_bytes: Annotated[int, Field(ge=1 << 16)] = 64 << 20
    """Of all its files on the disk."""
    max_age_s: Seconds = 7 * 86_400.0
    """Counts while the agent runs, not by the wall clock."""
    drain_per_s: Annotated[float, Field(ge=0.1, le=100_000)] = 200.0
    """How fast events leave that waited for the broker; a fleet that comes back floods nobody."""
    delivered: Literal["broker", "sink"] = "broker"
    """Who must have an event before the outbox forgets it: the broker, which may lose it when it
    is killed, or an `edge-reid sink`, which has it on disk."""


def _server_or_folder(source: str, *, expected: str) -> str:
    parts = urlsplit(source)
    if parts.username or parts.password:
        raise ValueError("should hold no login")
    is_web = parts.scheme == "https" and bool(parts.hostname) and not parts.query
    if not is_web and not Path(source).is_absolute():
        raise ValueError(f"should be {expected}")
    return source


def _gallery_source(source: str) -> str:
    expected = "mqtt, an https:// URL, or the absolute path of a folder"
    return source if source == "mqtt" else _server_or_folder(source, expected=expected)


def _release_source(source: str) -> str:
    return _server_or_folder(source, expected="an https:// URL, or the absolute path of a folder")


class GallerySyncSettings(_Section):
    """Take the gallery from where `edge-reid gallery publish` puts it, and keep it up to date."""

    source: Annotated[str, AfterValidator(_gallery_source)]
    """`mqtt`: the broker of `mqtt.url`; an `https://` URL; or a folder, such as a stick's."""
    public_key: Path
    """Of the key that signs: `edge-reid keys new` makes both."""
    ca_file: Path | None = None
    """Certificate authority for an `https://` source; default: the system's."""
    max_bytes: Annotated[int, Field(ge=1 << 16)] = 256 << 20
    """Most that a gallery may take, on the wire and in memory."""
    poll_s: Annotated[float, Field(ge=0.1, le=86_400)] = 60.0
    """Between two looks at a server or a folder, and between two attempts after a failure."""
    keep_previous_s: Annotated[float, Field(ge=0, le=86_400 * 366)] = 86_400.0
    """The version before the one in force is kept so long for `edge-reid gallery rollback`. Only
    then is a removed person gone from this disk."""
    least_version: Annotated[int, Field(ge=0)] = 0
    """Versions before it are refused, also by a device that has had none yet or has lost what it
    knew: whoever has an old signed gallery could send it again."""


class UpdateSettings(_Section):
    """Take releases of edge-reid from where `edge-reid release publish` puts them.

    What is to be installed is told at the broker of `mqtt.url`. Without this section nothing is.
    """

    source: Annotated[str, AfterValidator(_release_source)]
    """Where the files of releases lie: an `https://` URL, or a folder such as a stick's."""
    public_key: Path
    """Of the key that signs releases: `edge-reid keys new --for release` makes both."""
    ca_file: Path | None = None
    """Certificate authority for an `https://` source; default: the system's."""
    least_serial: Annotated[int, Field(ge=0)] = 0
    """Releases whose head has a lower one are refused, also by a device that has had none yet:
    `edge-reid release publish` says the serial of the newest."""


class StrangerSettings(_Section):
    """Know people again who are not enrolled, under an anonymous name of this device.

    Without this section nobody is remembered who is not enrolled.
    """

    path: Path | None = None
    """Default: `strangers.db` beside the outbox. Agents of one device may share it."""
    keep_s: Seconds = 86_400.0
    """Whoever was not seen for so long is forgotten."""
    max_people: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Beyond it, whoever was not seen for the longest time is forgotten."""
    target_fpir: Share = 0.002
    """Accepted share of newcomers taken for somebody who was there before. Stricter than for
    identities: one person with two names can be merged, two under one name stay mixed."""


class CommandSettings(_Section):
    """What an agent lets itself be told over MQTT."""

    allow: tuple[CommandName, ...] = ()
    """Of `snapshot`, `reload`, `sync-now`, `set-threshold`; none by default, and then the agent
    does not even listen."""
    max_age_s: Annotated[float, Field(gt=0, le=3600)] = 60.0
    """What was issued longer ago is refused, and what was issued so far in the future."""
    threshold_min: Annotated[float, Field(gt=-1, lt=1)] = 0.5
    """Least that `set-threshold` may set."""
    threshold_max: Annotated[float, Field(gt=-1, lt=1)] = 0.95
    """Most that `set-threshold` may set."""
    snapshot_dir: Path | None = None
    """Folder on this device for the pictures of `snapshot`; they do not leave it."""
    snapshot_max_files: Annotated[int, Field(ge=1, le=100_000)] = 100
    """Beyond it the oldest pictures go."""
    snapshot_max_bytes: Annotated[int, Field(ge=1 << 16)] = 64 << 20
    """Of all pictures; beyond it the oldest go."""

    @model_validator(mode="after")
    def _fits_together(self) -> CommandSettings:
        if "snapshot" in self.allow and self.snapshot_dir is None:
            raise ValueError("snapshot_dir: is missing; snapshot needs a folder for its pictures")
        if self.threshold_min >= self.threshold_max:
            raise ValueError("threshold_min: should be less than threshold_max")
        return self


def agent_name(hostname: str) -> str:
    """A valid agent name made from a host name: `Gate-1.local` → `gate-1`."""
    first = hostname.split(".", maxsplit=1)[0].lower()
    return re.sub(r"[^a-z0-9_-]", "-", first)[:64] or "agent"


def _default_agent(values: dict[str, Any]) -> str:
    return f"{agent_name(socket.gethostname())}-{values.get('camera', 'camera')}"[:64]


class AgentSettings(_Section):
    """Everything `edge-reid run` needs."""

    site: Name
    camera: CameraName
    agent: Name = Field(default_factory=_default_agent)
    """Default: host name and camera, so that two agents on one device do not take each other's."""
    gallery: Path
    source: SourceSettings
    models: ModelSettings = Field(default_factory=ModelSettings)
    detect: DetectSettings = DetectSettings()
    track: TrackSettings = TrackSettings()
    embed: EmbedSettings = EmbedSettings()
    decide: DecideSettings = DecideSettings()
    mqtt: MqttSettings = MqttSettings()
    outbox: OutboxSettings = OutboxSettings()
    gallery_sync: GallerySyncSettings | None = None
    """None: the gallery is a file of its own, which people are enrolled into here."""
    update: UpdateSettings | None = None
    """None: this device is upgraded by hand."""
    strangers: StrangerSettings | None = None
    """None: nobody is remembered who is not enrolled."""
    commands: CommandSettings = CommandSettings()

    @model_validator(mode="after")
    def _sync_and_update_have_their_broker(self) -> AgentSettings:
        if self.gallery_sync and self.gallery_sync.source == "mqtt" and self.mqtt.url is None:
            raise ValueError("gallery_sync.source: is mqtt, which needs mqtt.url")
        if self.update and self.mqtt.url is None:
            raise ValueError("update: is told at the broker, which needs mqtt.url")
        return self

    @property
    def outbox_path(self) -> Path:
        """An outbox belongs to one agent: two on one device need two."""
        return self.outbox.path or self.gallery.with_name(f"outbox-{self.agent}.db")

    @property
    def strangers_path(self) -> Path:
        """Where unknown people are remembered, if they are."""
        given = self.strangers.path if self.strangers else None
        return given or self.outbox_path.with_name("strangers.db")


def load_settings(path: Path | None, overrides: Mapping[str, Any]) -> AgentSettings:
    """Settings from a TOML file and command-line overrides (nested like the file, they win).

    Relative paths in the file are relative to the file.

    Raises:
        ConfigError: with every mistake at once.
    """
    where = str(path) if path else "command line"
    table = read_toml(path) if path else {}
    base = path.parent if path else Path()
    try:
        return AgentSettings.model_validate(merged(_anchor_paths(table, base), overrides))
    except ValidationError as error:
        raise ConfigError(where, describe_mistakes(error, known=AgentSettings)) from error


def parse_section(section: type[S], values: Mapping[str, Any]) -> S:
    """One section alone, for verbs that need no whole configuration; raises ConfigError."""
    try:
        return section.model_validate(values)
    except ValidationError as error:
        raise ConfigError("command line", describe_mistakes(error)) from error


def read_toml(path: Path) -> dict[str, Any]:
    """The table of a TOML file; raises ConfigError when it cannot be read or is none."""
    try:
        return tomllib.loads(read_text_file(path))
    except OSError as error:
        raise ConfigError(str(path), [f"cannot be read: {error.strerror}"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), [f"is not TOML: {error}"]) from error


_PATH_KEYS = {
    ("gallery",),
    ("source", "ca_file"),
    ("models", "detector"),
    ("models", "embedding"),
    ("models", "public_key"),
    ("mqtt", "password_file"),
    ("mqtt", "ca_file"),
    ("mqtt", "cert_file"),
    ("mqtt", "key_file"),
    ("outbox", "path"),
    ("gallery_sync", "public_key"),
    ("gallery_sync", "ca_file"),
    ("update", "public_key"),
    ("update", "ca_file"),
    ("strangers", "path"),
    ("commands", "snapshot_dir"),
}


def _anchor_paths(table: Mapping[str, Any], base: Path, at: tuple[str, ...] = ()) -> dict[str, Any]:
    def anchored(key: str, value: Any) -> Any:
        here = (*at, key)
        if isinstance(value, Mapping):
            return _anchor_paths(value, base, here)
        if here == ("source", "uri") and isinstance(value, str):
            return _beside(base, value)
        return base / value if here in _PATH_KEYS and isinstance(value, str) else value

    return {key: anchored(key, value) for key, value in table.items()}


def _beside(base: Path, uri: str) -> str:
    """A video file's path; a camera's number or a URL stays as it is."""
    return uri if not uri or uri.isdecimal() or "://" in uri else str(base / uri)


def merged(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    """Both tables in one; where both have a key, a table is merged, anything else `high`'s."""
    both = dict(low)
    for key, value in high.items():
        nested = both.get(key)
        is_nested = isinstance(value, Mapping) and isinstance(nested, Mapping)
        both[key] = merged(nested, value) if is_nested and isinstance(nested, Mapping) else value
    return both
