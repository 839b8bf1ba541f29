"""The agent's configuration: a TOML file in, frozen settings out.

Unknown keys are errors, and all mistakes are reported at once. Names of keys carry their units.
The string below a field is its meaning in CONFIG.md, which `make reference` writes anew.
"""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from edge_reid.core.active_hours import hours_window
from edge_reid.core.bundled_models import DETECTOR, EMBEDDING, shipped_model
from edge_reid.core.camera_mistakes import form_mistakes, likeness_mistakes
from edge_reid.core.cores import threads_for_inference
from edge_reid.core.errors import ConfigError, UsageError
from edge_reid.core.names import NAME_PATTERN, RESERVED_LEVELS
from edge_reid.core.server_url import MQTT_PORTS, ServerUrl
from edge_reid.core.stream_url import has_login
from edge_reid.core.text_file import read_text_file
from edge_reid.core.validation_errors import as_lines, describe_mistakes

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

_LAST_PORT = 65_535

RuntimeName = Literal["auto", "litert", "tflite-runtime"]


def runtime_name(word: str) -> RuntimeName:
    """Parse the value of `--runtime`.

    Raises:
        UsageError: there is no such runtime.
    """
    for known in get_args(RuntimeName):
        if known == word:
            return known  # type: ignore[no-any-return]
    raise UsageError(f"--runtime: expected one of {', '.join(get_args(RuntimeName))}, got {word}")


CommandName = Literal["snapshot", "reload", "sync-now", "set-threshold", "not-this-person"]


def _broker_url(url: str) -> str:
    ServerUrl.parse(url, MQTT_PORTS)
    return url


BrokerUrl = Annotated[str, AfterValidator(_broker_url)]


def _fingerprint(text: str) -> str:
    """64 lower-case digits, from those or from what `openssl x509 -fingerprint -sha256` prints."""
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

    @field_validator("*", mode="before")
    @classmethod
    def _is_written_as_its_kind(cls, value: Any, field: ValidationInfo) -> Any:
        """TOML has numbers and truth values of its own: `"no"` is a mistake and not false."""
        kind = cls.model_fields[str(field.field_name)].annotation
        of_union = get_args(kind)
        kinds = {kind, *of_union, *(get_args(part)[0] for part in of_union if get_args(part))}
        if bool in kinds and isinstance(value, str | int) and not isinstance(value, bool):
            raise ValueError("should be true or false, without quotes")
        if kinds & {int, float} and isinstance(value, str | bool):
            raise ValueError("should be a number, without quotes")
        return value


S = TypeVar("S", bound=_Section)


def _is_stream(uri: str) -> bool:
    """Whether it is the address of a stream on the network."""
    return uri.lower().startswith(("rtsp://", "rtsps://", "http://", "https://"))


class SourceSettings(_Section):
    """The camera, stream or file that frames come from."""

    uri: Annotated[str, Field(min_length=1)]
    """A video file, a folder of images, a camera index such as `0`, a URL such as
    `rtsp://camera.local/stream`, `picamera://0` for a Raspberry Pi's own camera, or a GStreamer
    pipeline that ends in `appsink`, where this OpenCV has GStreamer. In a password write `#` as
    `%23`, `/` as `%2F`, `?` as `%3F`, `@` as `%40` and `%` as `%25`."""
    detect_uri: Annotated[str, Field(min_length=1)] | None = None
    """A smaller stream of the same camera, its substream. If set, people are detected in it, and
    the large stream of `uri` is read only while somebody is in view: their crops are cut from it.
    Login, transport and certificates are those of `uri`."""
    crop_linger_s: Seconds = 10.0
    """With `detect_uri`: the large stream is closed when nobody has been in view for this long."""
    start_time: datetime | None = None
    """Wall-clock time of the first frame of a file, UTC if it names no zone. Default: 1970-01-01,
    so that two runs give the same events."""
    image_rate_hz: Annotated[float, Field(gt=0, le=120)] = 5.0
    """Images a second of a folder of images: they hold no times."""
    stall_timeout_s: Seconds = 10.0
    """A live source without a new picture for this long is closed and opened again."""
    login_file: Path | None = None
    """File whose first line is `USER:PASSWORD` of the camera, unquoted. It is read at every
    opening, so that a new password needs no restart. Default: the login in `uri`, if it has one."""
    rtsp_transport: Literal["tcp", "udp"] = "tcp"
    """`udp` only for cameras that cannot send over TCP: packets get lost, and firewalls drop
    them."""
    ca_file: Path | None = None
    """Certificate authority of an `rtsps://` or `https://` camera. Default: the system's."""
    tls_fingerprint: Annotated[str, AfterValidator(_fingerprint)] | None = None
    """SHA-256 of the camera's certificate. If set, the certificate must have it, and no authority
    is asked."""
    allow_redirects: bool = False
    """Follow redirects to other hosts, and playlists. The camera's certificate is then not
    verified."""

    @model_validator(mode="after")
    def _fits_together(self) -> SourceSettings:
        uris = [self.uri, *([self.detect_uri] if self.detect_uri else [])]
        if self.detect_uri and not all(map(_is_stream, uris)):
            raise ValueError("detect_uri: should be set only as a URL, where uri is a URL too")
        if self.detect_uri == self.uri:
            raise ValueError("detect_uri: should be another stream than uri")
        is_tls = all(uri.lower().startswith(("rtsps://", "https://")) for uri in uris)
        if (self.ca_file or self.tls_fingerprint) and not is_tls:
            raise ValueError(
                "ca_file, tls_fingerprint: should be set only with rtsps:// or https://"
            )
        if (self.ca_file or self.tls_fingerprint) and self.allow_redirects:
            raise ValueError("allow_redirects: should not be set with ca_file or tls_fingerprint")
        if self.login_file and ("://" not in self.uri or any(map(has_login, uris))):
            raise ValueError("login_file: should be set only with a URL that holds no login")
        return self

    @property
    def detect_stream(self) -> SourceSettings:
        """The small stream as a source of its own; the only one, where there is one."""
        only = {"uri": self.detect_uri or self.uri, "detect_uri": None}
        return self.model_copy(update=only)

    @property
    def crop_stream(self) -> SourceSettings:
        """The large stream as a source of its own."""
        return self.model_copy(update={"detect_uri": None})

    @property
    def start_utc_s(self) -> float:
        """`start_time` in Unix seconds; a time without a zone is UTC."""
        if self.start_time is None:
            return 0.0
        has_zone = self.start_time.tzinfo is not None
        return (
            self.start_time if has_zone else self.start_time.replace(tzinfo=timezone.utc)
        ).timestamp()


class ModelSettings(_Section):
    """The models, and the runtime that executes them."""

    detector: Path = Field(default_factory=lambda: shipped_model(DETECTOR))
    """Person detector: a `.tflite` with its manifest beside it. Default: the shipped one."""
    embedding: Path = Field(default_factory=lambda: shipped_model(EMBEDDING))
    """Embedding model: a `.tflite` with its manifest beside it. Default: the shipped one."""
    runtime: RuntimeName = "auto"
    """`auto` takes LiteRT if it is installed, else tflite-runtime."""
    threads: Annotated[int, Field(ge=1, le=64)] = Field(default_factory=threads_for_inference)
    """Threads of the runtime for one inference. Default: the fast cores that the agent may use, 4
    at most."""
    public_key: Path | None = None
    """Public key of those who sign releases and, with them, manifests of models. A model signed
    with another key is refused; an unsigned one runs, with a warning. Default: no signature is
    checked."""


class DetectSettings(_Section):
    """How often the detector runs, and from which score a detection counts."""

    rate_hz: Annotated[float, Field(gt=0, le=120)] = 5.0
    """Runs of the detector per second of video; between them, tracks are predicted."""
    motion_gate: bool = True
    """Skip the detector while nothing moves outside of masks and nobody is tracked."""
    strong_score: Share | None = None
    """A detection with at least this score may start a track. Default: from the detector's
    manifest."""
    weak_score: Share | None = None
    """A detection with at least this score may continue a track. Default: from the detector's
    manifest."""


class CameraDetectSettings(DetectSettings):
    """The detector of this camera."""

    model: Path | None = None
    """Person detector of this camera: a `.tflite` with its manifest beside it. Default:
    `models.detector`."""


class TrackSettings(_Section):
    """How detections become tracks."""

    min_detections: Annotated[int, Field(ge=1, le=100)] = 2
    """Detections that confirm a track. Up to 2, one is enough of somebody who is seen clearly and
    stands apart from everybody else."""
    max_lost_s: Seconds = 2.0
    """A track that is not detected for this long ends."""
    relink_s: Annotated[float, Field(ge=0, le=60)] = 10.0
    """A track that begins within this time of where another was last seen, and looks like it,
    continues its visit; 0: none does."""
    min_iou: Share = 0.1
    """Least intersection over union of a predicted box and a strong detection that continues it."""


class EmbedSettings(_Section):
    """Which crops of a track are embedded."""

    crops_per_track: Annotated[int, Field(ge=1, le=64)] = 5
    """The decision uses this many crops of a track, those of best quality."""
    min_height_px: Annotated[int, Field(ge=8, le=4096)] = 48
    """Least height of a box whose crop is embedded. Of people below it the shipped models miss
    most: their cards have the measurement."""
    min_quality: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Least quality of a crop that is embedded: size, sharpness, overlap, being whole in the
    frame."""
    min_interval_s: Seconds = 0.4
    """Least time between two crops of one track: crops of the same moment add no information."""


class DecideSettings(_Section):
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


class LatencySettings(_Section):
    """What is promised of the time from a frame to its events, of live cameras."""

    captured_to_committed_p95_ms: Annotated[float, Field(ge=20, le=60_000)] = 500.0
    """Of 100 looks at a frame, 95 have what they brought in the outbox so soon after the camera
    took the frame. While a machine is too slow for that, it looks more seldom, and the camera's
    status says so."""


class MqttSettings(_Section):
    """The MQTT broker."""

    url: BrokerUrl | None = None
    """`mqtt://host:port` or `mqtts://host:port`; of a cluster several, `mqtts://a:8883,b:8883`, the
    first that answers is taken. Default: nothing is published over MQTT."""
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    """Version of MQTT: `5`, `3.1.1`, or `auto`: 5, and 3.1.1 to a broker that does not speak it
    (NATS). With 3.1.1 states do not expire at the broker; their age tells."""
    root: Annotated[str, Field(pattern=r"^[a-z0-9_-]+(/[a-z0-9_-]+)*$")] = "edge-reid"
    """First level or levels of every topic."""
    username: str | None = None
    """Login at the broker."""
    password_file: Path | None = None
    """File whose first line is the password of `username`."""
    ca_file: Path | None = None
    """Certificate authority of an `mqtts://` broker. Default: the system's."""
    cert_file: Path | None = None
    """This agent's certificate, for an `mqtts://` broker that asks for one."""
    key_file: Path | None = None
    """The private key of `cert_file`."""
    allow_plaintext: bool = False
    """Allow `mqtt://` to other hosts than this one: only on a network that nobody else can read."""
    keepalive_s: Annotated[int, Field(ge=5, le=3600)] = 30
    """Longest silence on the connection; after 1.5 times as much the broker publishes the last
    will."""
    flush_timeout_s: Annotated[float, Field(ge=0, le=3600)] = 10.0
    """Longest wait for the outbox to empty at the end of a run. What is left stays in the
    outbox."""
    tls_insecure: Literal[False] = False
    """Only `false`: verification of certificates cannot be turned off."""


class OutboxSettings(_Section):
    """The SQLite file in which events wait for the broker."""

    path: Path | None = None
    """Its file. Default: `outbox-<agent>.db` beside the gallery."""
    max_bytes: Annotated[int, Field(ge=1 << 16)] = 64 << 20
    """Most that all its files may take on the disk; beyond it the oldest events are dropped, and
    counted."""
    max_age_s: Seconds = 7 * 86_400.0
    """Older events are dropped, and counted. The age counts while the agent runs, not by the wall
    clock."""
    drain_per_s: Annotated[float, Field(ge=0.1, le=100_000)] = 200.0
    """Rate at which events that have waited are sent, so that a fleet that reconnects does not
    flood the broker."""
    delivered: Literal["broker", "sink"] = "broker"
    """Who must confirm an event before it is deleted: the `broker`, which may lose it when it is
    killed, or a `sink` (`edge-reid sink`), which has written it to disk."""


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
    """Fetch the gallery that `edge-reid gallery publish` has published, and keep it up to date."""

    source: Annotated[str, AfterValidator(_gallery_source)]
    """`mqtt` (the broker of `mqtt.url`), an `https://` URL, or the absolute path of a folder."""
    public_key: Path
    """Public key of those who sign the gallery; `edge-reid keys new` makes a pair."""
    ca_file: Path | None = None
    """Certificate authority of an `https://` source. Default: the system's."""
    max_bytes: Annotated[int, Field(ge=1 << 16)] = 256 << 20
    """Most that a gallery may take on the wire and in memory; a larger one is refused."""
    poll_s: Annotated[float, Field(ge=0.1, le=86_400)] = 60.0
    """Time between two looks at a server or a folder, and between two attempts after a failure."""
    keep_previous_s: Annotated[float, Field(ge=0, le=86_400 * 366)] = 86_400.0
    """The previous version is kept for this long, for `edge-reid gallery rollback`. A removed
    person is on this disk until then."""
    least_version: Annotated[int, Field(ge=0)] = 0
    """Older versions are refused, also by a device that has had none yet or has lost its state.
    It protects against an old signed gallery that is sent again."""


class UpdateSettings(_Section):
    """Install releases that `edge-reid release publish` has published.

    The signed head of a release comes from the broker of `mqtt.url`.
    """

    source: Annotated[str, AfterValidator(_release_source)]
    """Where the files of releases are: an `https://` URL, or the absolute path of a folder."""
    public_key: Path
    """Public key of those who sign releases; `edge-reid keys new --for release` makes a pair."""
    ca_file: Path | None = None
    """Certificate authority of an `https://` source. Default: the system's."""
    least_serial: Annotated[int, Field(ge=0)] = 0
    """Releases with a lower serial are refused, also by a device that has had none yet.
    `edge-reid release publish` prints the serial of the newest."""


class StrangerSettings(_Section):
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


class CommandSettings(_Section):
    """Commands that the agent takes over MQTT."""

    allow: tuple[CommandName, ...] = ()
    """Commands that are carried out. With none the agent does not subscribe to commands."""
    max_age_s: Annotated[float, Field(gt=0, le=3600)] = 60.0
    """A command is refused if it was issued longer ago than this, or this far in the future."""
    threshold_min: Annotated[float, Field(gt=-1, lt=1)] = 0.5
    """Lowest threshold that `set-threshold` may set."""
    threshold_max: Annotated[float, Field(gt=-1, lt=1)] = 0.95
    """Highest threshold that `set-threshold` may set."""
    snapshot_dir: Path | None = None
    """Folder for the pictures of `snapshot`, which needs it; they do not leave the device."""
    snapshot_max_files: Annotated[int, Field(ge=1, le=100_000)] = 100
    """Beyond it the oldest pictures are deleted."""
    snapshot_max_bytes: Annotated[int, Field(ge=1 << 16)] = 64 << 20
    """Size of all pictures; beyond it the oldest are deleted."""

    @model_validator(mode="after")
    def _fits_together(self) -> CommandSettings:
        if "snapshot" in self.allow and self.snapshot_dir is None:
            raise ValueError("snapshot_dir: is missing; snapshot needs a folder for its pictures")
        if self.threshold_min >= self.threshold_max:
            raise ValueError("threshold_min: should be less than threshold_max")
        return self


class HomeAssistantSettings(_Section):
    """Announce this agent, its cameras and the people whom it sees to Home Assistant, by MQTT
    discovery.
    """

    enabled: bool = False
    """Whether to. Home Assistant then has the names of people, as every reader of the broker."""
    discovery_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$")] = (
        "homeassistant"
    )
    """First level of its discovery topics, as set there. `certs.py` writes access rules for the
    default only."""
    pictures: bool = False
    """Whether the best crop of the last hit of each camera is published, for an image entity. It is
    the only way by which pictures of people leave the device, and goes to every reader of the
    broker."""
    device_trackers: bool = False
    """Whether a person is a device tracker too: `home` while a camera of this agent has them in
    view."""


def _host_and_port(address: str) -> str:
    host, colon, port = address.rpartition(":")
    is_port = port.isascii() and port.isdecimal() and int(port) <= _LAST_PORT
    if not (colon and host and is_port):
        raise ValueError("should look like 127.0.0.1:9100, or [::1]:9100")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise ValueError("should have an IPv6 address in brackets, as in [::1]:9100")
    return address


class _ListenerSettings(_Section):
    listen: Annotated[str, AfterValidator(_host_and_port)]

    @property
    def host(self) -> str:
        """Of `listen`, without brackets."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """Of `listen`."""
        return int(self.listen.rpartition(":")[2])

    @property
    def is_loopback(self) -> bool:
        """Whether only this host reaches it."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:  # a name
            return self.host == "localhost"


class MetricsSettings(_ListenerSettings):
    """Metrics for Prometheus at `/metrics`, and health at `/healthz` and `/readyz`."""

    listen: Annotated[str, AfterValidator(_host_and_port)] = "127.0.0.1:9100"
    """Address and port. One that other hosts reach needs `token_file`, and is plain HTTP: what is
    said there, the token included, can be read on the way. Port 0 takes a free one."""
    token_file: Path | None = None
    """File whose first line is a secret, which all who ask send as `Authorization: Bearer
    SECRET`."""
    alive_s: Seconds = 30.0
    """The agent is not alive, as `/healthz` says, when its loop over the frames has not come round
    for this long."""

    @model_validator(mode="after")
    def _asks_who_it_is(self) -> MetricsSettings:
        if not self.is_loopback and self.token_file is None:
            raise ValueError(
                "token_file: is missing; listen is an address that other hosts may reach"
            )
        return self


WEB_LISTEN = "127.0.0.1:8480"
"""Where the page is, unless something else is said."""

RoleName = Literal["viewer", "operator", "admin"]
"""What a user of the page may do; each may also do what those before it may."""


def _password_hash(text: str) -> str:
    if not re.fullmatch(r"scrypt\$\d+\$\d+\$\d+\$[A-Za-z0-9+/=]{8,}\$[A-Za-z0-9+/=]{16,}", text):
        raise ValueError(
            "should be a hash that python -m edge_reid.web.password_hash has made, not a password"
        )
    return text


class WebUserSettings(_Section):
    """Somebody who may log in to the page. NAME is what they type."""

    role: RoleName = "viewer"
    """`viewer` looks, `operator` also enrols and names people, `admin` also removes them."""
    password_hash: Annotated[str, AfterValidator(_password_hash)]
    """The scrypt hash of the password; `python -m edge_reid.web.password_hash` asks for one and
    prints it."""


class WebSettings(_ListenerSettings):
    """The live page of the device, for a browser. It needs the extra `[web]`."""

    listen: Annotated[str, AfterValidator(_host_and_port)] = WEB_LISTEN
    """Address and port. On a loopback address whoever is on this device may look without a login;
    any other needs `token_file` or users, and TLS. Port 0 takes a free one."""
    token_file: Path | None = None
    """File whose first line is a secret of at least 16 characters; whoever knows it is `admin`."""
    users: dict[Name, WebUserSettings] = {}
    """Those who log in by name and password."""
    cert_file: Path | None = None
    """Certificate of the page, with the chain to its authority: PEM."""
    key_file: Path | None = None
    """The private key of `cert_file`: PEM."""
    behind_proxy: bool = False
    """Whether a proxy before the page speaks TLS with the browsers. The page itself is plain HTTP
    then, and needs a login on loopback too."""
    crops_memory_s: Annotated[float, Field(ge=0, le=86_400)] = 600.0
    """How long the crops of a hit are kept, in memory only."""
    keep_crops_s: Annotated[float, Field(gt=0, le=366 * 86_400)] | None = None
    """How long hits and their crops, which are pictures of people, are also kept on the card, in
    files that only the agent's user can read: a folder `hits-AGENT` beside the outbox. Default: not
    at all; what an earlier setting has left there is deleted when the agent starts."""
    keep_crops_max_bytes: Annotated[int, Field(ge=1 << 20)] = 256 << 20
    """Size of all these files; beyond it the oldest hits are deleted."""

    @property
    def is_open(self) -> bool:
        """Whether nobody logs in."""
        return self.token_file is None and not self.users

    @model_validator(mode="after")
    def _asks_who_it_is(self) -> WebSettings:
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("cert_file, key_file: should be set both or not at all")
        if self.cert_file and self.behind_proxy:
            raise ValueError("behind_proxy: should not be set with cert_file; one of them is TLS")
        if self.is_open and (self.behind_proxy or not self.is_loopback):
            raise ValueError(
                "token_file: is missing, or a table [web.users.NAME]; others may reach the page"
            )
        if not (self.is_loopback or self.cert_file or self.behind_proxy):
            raise ValueError(
                "cert_file: is missing; other hosts reach the page, so set cert_file and key_file, "
                "or behind_proxy where a proxy speaks TLS"
            )
        return self


def _window_text(line: str) -> str:
    hours_window(line)
    return line


CornerShare = Annotated[float, Field(ge=0, le=1)]


class MaskSettings(_Section):
    """A part of the picture in which nobody is detected: a street, a screen, a poster."""

    points: Annotated[
        tuple[tuple[CornerShare, CornerShare], ...], Field(min_length=3, max_length=64)
    ]
    """Its corners, three at least, `[x, y]` in shares of the picture: `[0, 0]` is top left,
    `[1, 1]` bottom right. A person stands where the middle of the lower edge of their box is."""


class ZoneSettings(MaskSettings):
    """A part of the picture that has a name. Events tell it, and who enters and leaves is an event
    of its own.
    """

    name: Name
    """Of this zone, unlike that of any other of the camera."""
    loitering_s: Seconds | None = None
    """Somebody who has been in it for so long is told as `loitering`, once. Default: nobody is."""


class LineSettings(_Section):
    """A line across the way of people: an event tells who crosses it, and in which direction."""

    points: Annotated[
        tuple[tuple[CornerShare, CornerShare], ...], Field(min_length=2, max_length=2)
    ]
    """Its two ends, as the corners of a mask. Who crosses it from the left to the right of somebody
    who looks from the first end to the second goes `in`; swap the ends to swap that."""
    name: Name
    """Of this line, unlike that of any other of the camera."""
    direction: Literal["both", "in", "out"] = "both"
    """Which crossings are told."""

    @field_validator("points")
    @classmethod
    def _has_two_ends(cls, points: tuple[Any, ...]) -> tuple[Any, ...]:
        if points[0] == points[-1]:
            raise ValueError("should be two ends that differ")
        return points


class CameraSettings(_Section):
    """One of several cameras. What is not set here is taken from the agent's table of that name."""

    source: SourceSettings
    detect: CameraDetectSettings = CameraDetectSettings()
    track: TrackSettings = TrackSettings()
    embed: EmbedSettings = EmbedSettings()
    decide: DecideSettings = DecideSettings()
    masks: Annotated[tuple[MaskSettings, ...], Field(max_length=32)] = ()
    """Each is a table `[[cameras.NAME.masks]]`."""
    zones: Annotated[tuple[ZoneSettings, ...], Field(max_length=32)] = ()
    """Each is a table `[[cameras.NAME.zones]]`."""
    lines: Annotated[tuple[LineSettings, ...], Field(max_length=32)] = ()
    """Each is a table `[[cameras.NAME.lines]]`."""
    active: Annotated[
        tuple[Annotated[str, AfterValidator(_window_text)], ...], Field(max_length=32)
    ] = ()
    """When a live camera is watched, by the wall clock of this device: `mon-fri 07:00-19:00`,
    `sat,sun 22:00-06:00` (into the day after), `sun 00:00-24:00`. Outside of all of them it is not
    even opened, and its status is `inactive`. Default: always. A recording is watched whole."""

    @field_validator("zones", "lines")
    @classmethod
    def _have_names_of_their_own(cls, areas: tuple[Any, ...]) -> tuple[Any, ...]:
        names = [area.name for area in areas]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"should have names of their own; {', '.join(twice)} occurs twice")
        return areas

    @field_validator("source", mode="before")
    @classmethod
    def _is_a_table(cls, value: Any) -> Any:
        is_uri = isinstance(value, str)
        if is_uri:
            raise ValueError('should be a table; write source.uri = "…"')
        return value


def agent_name(hostname: str) -> str:
    """The name of an agent, made from a host name: `Gate-1.local` → `gate-1`."""
    first = hostname.split(".", maxsplit=1)[0].lower()
    return re.sub(r"[^a-z0-9_-]", "-", first)[:64] or "agent"


def _default_agent(values: dict[str, Any]) -> str:
    host = agent_name(socket.gethostname())
    return host if len(values["cameras"]) > 1 else f"{host}-{next(iter(values['cameras']))}"[:64]


class AgentSettings(_Section):
    """Everything that `edge-reid run` needs.

    One camera is `camera` with `[source]`; several are tables `[cameras.NAME]`.
    """

    site: Name
    """Topic level of the site."""
    camera: CameraName | None = None
    """Topic level of the only camera; not `agents`, `gallery`, `identities` or `release`. Several
    cameras have `[cameras.NAME]` instead."""
    gallery: Path
    """SQLite file of the gallery."""
    source: SourceSettings | None = None
    models: ModelSettings = Field(default_factory=ModelSettings)
    detect: DetectSettings = DetectSettings()
    track: TrackSettings = TrackSettings()
    embed: EmbedSettings = EmbedSettings()
    decide: DecideSettings = DecideSettings()
    cameras: Annotated[dict[CameraName, CameraSettings], Field(validate_default=True)] = {}
    """NAME is the topic level of the camera. The short form `camera` and `[source]` does not
    stand beside these tables."""
    agent: Name = Field(default_factory=_default_agent)
    """Topic level of this agent, unlike that of any other in the site. Default: host name and
    camera; with several cameras the host name."""
    latency: LatencySettings = LatencySettings()
    mqtt: MqttSettings = MqttSettings()
    outbox: OutboxSettings = OutboxSettings()
    gallery_sync: GallerySyncSettings | None = None
    """Without this section the gallery is a file of its own, into which people are enrolled
    here."""
    update: UpdateSettings | None = None
    """Without this section the device is upgraded by hand."""
    strangers: StrangerSettings | None = None
    """Without this section nobody who is not enrolled is remembered."""
    commands: CommandSettings = CommandSettings()
    home_assistant: HomeAssistantSettings = HomeAssistantSettings()
    metrics: MetricsSettings | None = None
    """Without this section nobody is listened to."""
    web: WebSettings | None = None
    """Without this section, and without `--web`, there is no page."""

    @field_validator("camera", mode="before")
    @classmethod
    def _is_a_name(cls, value: Any) -> Any:
        is_table = isinstance(value, Mapping)
        if is_table:
            raise ValueError("should be the name of the only camera; several are [cameras.NAME]")
        return value

    @field_validator("cameras")
    @classmethod
    def _are_complete(
        cls, tables: dict[str, CameraSettings], info: ValidationInfo
    ) -> dict[str, CameraSettings]:
        """What is not set for a camera is what is set for the agent."""
        given = info.data
        if not {"camera", "source"} <= given.keys():  # their mistakes are listed
            return tables
        camera, source = given["camera"], given["source"]
        form = form_mistakes(camera, has_source=source is not None, names=tables)
        uris = {f"{name}.source.uri": table.source.uri for name, table in tables.items()}
        uris |= {
            f"{name}.source.detect_uri": table.source.detect_uri
            for name, table in tables.items()
            if table.source.detect_uri
        }
        if mistakes := [*form, *likeness_mistakes(tables, uris)]:
            raise as_lines(mistakes)
        whole = tables or {camera: CameraSettings(source=source)}
        return {name: _completed(table, given) for name, table in whole.items()}

    @model_validator(mode="after")
    def _sync_and_update_have_their_broker(self) -> AgentSettings:
        if self.gallery_sync and self.gallery_sync.source == "mqtt" and self.mqtt.url is None:
            raise ValueError("gallery_sync.source: expected mqtt.url beside mqtt, got none; set it")
        if self.home_assistant.enabled and self.mqtt.url is None:
            raise ValueError(
                "home_assistant.enabled: expected mqtt.url beside it, got none; set it"
            )
        if self.home_assistant.pictures and not self.home_assistant.enabled:
            raise ValueError("home_assistant.pictures: expected enabled = true beside it; set it")
        if self.strangers and self.strangers.share and not self._has_tls_broker:
            raise ValueError(
                "strangers.share: expected mqtt.url with mqtts:// beside it, got "
                f"{self.mqtt.url or 'none'}; devices know each other by their certificates"
            )
        if self.update and self.mqtt.url is None:
            raise ValueError(
                "update: expected mqtt.url, got none; heads of releases come from the broker"
            )
        return self

    @property
    def _has_tls_broker(self) -> bool:
        return self.mqtt.url is not None and self.mqtt.url.startswith("mqtts://")

    @property
    def outbox_path(self) -> Path:
        """File of the outbox. Each agent of a device has its own."""
        return self.outbox.path or self.gallery.with_name(f"outbox-{self.agent}.db")

    @property
    def scores_path(self) -> Path:
        """File of what is counted of unknown tracks. Each agent of a device has its own."""
        return self.outbox_path.with_name(f"scores-{self.agent}.json")

    @property
    def kept_hits_path(self) -> Path:
        """Folder of hits that are kept for the page. Each agent of a device has its own."""
        return self.outbox_path.with_name(f"hits-{self.agent}")

    @property
    def strangers_path(self) -> Path:
        """File of the strangers, whether or not there is a section `[strangers]`."""
        given = self.strangers.path if self.strangers else None
        return given or self.outbox_path.with_name("strangers.db")

    @property
    def heard_strangers_path(self) -> Path:
        """File of what other devices say of strangers. Each agent of a device has its own."""
        return self.outbox_path.with_name(f"heard-strangers-{self.agent}.db")


def _completed(camera: CameraSettings, agent: Mapping[str, Any]) -> CameraSettings:
    """The camera with the agent's keys where it has none of its own."""
    whole: dict[str, Any] = {}
    for section in ("detect", "track", "embed", "decide"):
        if section in agent:  # else it has mistakes, which are listed
            own = getattr(camera, section)
            shared = {
                key: getattr(agent[section], key) for key in type(agent[section]).model_fields
            }
            ours = {key: getattr(own, key) for key in own.model_fields_set}
            whole[section] = own.model_copy(update=shared | ours)
    detect = whole.get("detect", camera.detect)
    if detect.model is None and "models" in agent:
        whole["detect"] = detect.model_copy(update={"model": agent["models"].detector})
    return camera.model_copy(update=whole)


def load_settings(path: Path | None, overrides: Mapping[str, Any]) -> AgentSettings:
    """Settings from a TOML file and overrides of the command line, nested like the file.

    Overrides win. Relative paths in the file are relative to the file.

    Raises:
        ConfigError: the settings have mistakes; it lists all of them.
    """
    where = str(path) if path else "command line"
    table = read_toml(path) if path else {}
    base = path.parent if path else Path()
    try:
        return AgentSettings.model_validate(merged(_anchor_paths(table, base), overrides))
    except ValidationError as error:
        raise ConfigError(where, describe_mistakes(error, known=AgentSettings)) from error


def parse_section(section: type[S], values: Mapping[str, Any]) -> S:
    """Parse one section, for verbs that need no whole configuration.

    Raises:
        ConfigError: the section has mistakes; it lists all of them.
    """
    try:
        return section.model_validate(values)
    except ValidationError as error:
        raise ConfigError("command line", describe_mistakes(error)) from error


def read_toml(path: Path) -> dict[str, Any]:
    """The table of a TOML file.

    Raises:
        ConfigError: the file cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(read_text_file(path))
    except OSError as error:
        raise ConfigError(str(path), [f"cannot be read: {error.strerror}"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), [f"is not TOML: {error}"]) from error


_PATH_KEYS = {
    ("gallery",),
    ("source", "ca_file"),
    ("source", "login_file"),
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
    ("metrics", "token_file"),
    ("web", "token_file"),
    ("web", "cert_file"),
    ("web", "key_file"),
}
_CAMERA_PATH_KEYS = {("source", "ca_file"), ("source", "login_file"), ("detect", "model")}


def _anchor_paths(table: Mapping[str, Any], base: Path, at: tuple[str, ...] = ()) -> dict[str, Any]:
    def anchored(key: str, value: Any) -> Any:
        here = (*at, key)
        if isinstance(value, Mapping):
            return _anchor_paths(value, base, here)
        of_camera = here[2:] if here[0] == "cameras" else ()
        if ("source", "uri") in (here, of_camera) and isinstance(value, str):
            return _beside(base, value)
        is_path = here in _PATH_KEYS or of_camera in _CAMERA_PATH_KEYS
        return base / value if is_path and isinstance(value, str) else value

    return {key: anchored(key, value) for key, value in table.items()}


def _beside(base: Path, uri: str) -> str:
    """The path of a video file; a camera's index, a URL or a pipeline is returned unchanged."""
    is_path = uri and not uri.isdecimal() and "://" not in uri and " ! " not in uri
    return str(base / uri) if is_path else uri


def merged(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    """Both tables in one. Where both have a key, tables are merged, and else `high` wins."""
    both = dict(low)
    for key, value in high.items():
        nested = both.get(key)
        is_nested = isinstance(value, Mapping) and isinstance(nested, Mapping)
        both[key] = merged(nested, value) if is_nested and isinstance(nested, Mapping) else value
    return both
