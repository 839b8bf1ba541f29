"""Is this installation fit to run? Every check says in words what is wrong and what to do."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from enum import Enum
from functools import partial
from pathlib import Path

import numpy as np

from edge_reid.capture.open_source import open_source
from edge_reid.core.bundled_models import ModelKind, model_mistake
from edge_reid.core.config.broker_settings import MqttSettings
from edge_reid.core.config.decide_settings import DecideSettings
from edge_reid.core.config.source_settings import SourceSettings
from edge_reid.core.config.sync_settings import GallerySyncSettings, UpdateSettings
from edge_reid.core.config.vision_settings import ModelSettings
from edge_reid.core.errors import (
    ConfigError,
    EdgeReidError,
    GalleryError,
    ModelError,
    UsageError,
)
from edge_reid.core.manifest import EmbeddingManifest, load_embedding_manifest, model_in_words
from edge_reid.diagnostics.agent_certificate import (
    ExpectedHolder,
    ForeignCertificateError,
    check_holder,
    read_certificate,
)
from edge_reid.diagnostics.camera_heights import (
    CameraLook,
    TriedDetector,
    in_use_and_shipped,
    look_at,
)
from edge_reid.gallery.gallery_head import open_head
from edge_reid.gallery.gallery_model import (
    default_passed_over,
    model_id_of,
    models_for_gallery,
    sound_shipped_model,
)
from edge_reid.gallery.replica import Replica
from edge_reid.gallery.store import GalleryStore
from edge_reid.matching.gallery_thresholds import GalleryThresholds
from edge_reid.matching.threshold import BEYOND_MEASURED, BEYOND_MEASURED_REMEDY
from edge_reid.mqtt.broker import Broker, certificate_shown
from edge_reid.mqtt.connection import connect
from edge_reid.signing.keys import read_public_key
from edge_reid.signing.model_signature import is_signed
from edge_reid.vision.detect import load_detector
from edge_reid.vision.embed import Embedder
from edge_reid.vision.runtime import available_runtimes

RELEASED_UTC = datetime(2026, 11, 1, tzinfo=timezone.utc)
"""No correct clock shows an earlier time than this."""

TIME_SYNCED = Path("/run/systemd/timesync/synchronized")
LEAST_FREE_BYTES = 200 << 20


class Verdict(Enum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The result of one check."""

    name: str
    verdict: Verdict
    detail: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class CheckedInstallation:
    """What is checked; None leaves a check out."""

    models: ModelSettings
    gallery: Path | None = None
    sources: Mapping[str, SourceSettings] = field(default_factory=dict)
    """By the name of the camera; empty for one without a name."""
    mqtt: MqttSettings | None = None
    holder: ExpectedHolder | None = None
    """Whose certificate the broker is to be shown."""
    detectors: Mapping[str, Path] = field(default_factory=dict)
    """Of cameras that have one of their own, by their names."""
    state_dir: Path = Path()
    decide: DecideSettings = field(default_factory=DecideSettings)
    gallery_sync: GallerySyncSettings | None = None
    update: UpdateSettings | None = None
    is_offline: bool = False
    """Whether a camera, broker or clock that is away is only a warning."""


def examine(subject: CheckedInstallation) -> Iterator[Diagnosis]:
    """Run all checks; yields the result of each when it is known."""
    subject = _with_gallerys_model(subject)
    may_be_away = subject.is_offline
    yield from _guard("runtime", _runtime)
    yield from _guard("detector", lambda: _detector(subject.models))
    for name, file in subject.detectors.items():
        own = subject.models.model_copy(update={"detector": file})
        yield from _guard(f"detector of {name}", partial(_detector, own))
    yield from _guard("embedding model", lambda: _embedding(subject.models))
    yield from _guard("gallery", lambda: _any_gallery(subject))
    yield from _sources(subject.sources, is_excused=may_be_away)
    yield from _guard("broker", lambda: _broker(subject.mqtt), is_excused=may_be_away)
    yield from _certificate(subject)
    yield from _guard("clock", _clock, is_excused=may_be_away)
    yield from _guard("disk", lambda: _disk(subject.state_dir))
    if (update := subject.update) is not None:
        yield from _guard("updates", lambda: _updates(update))


def _with_gallerys_model(subject: CheckedInstallation) -> CheckedInstallation:
    """With the embedding model that `edge-reid run` takes where none is named. What is wrong with
    the gallery is told by its own check.
    """
    if subject.gallery is None:
        return subject
    with suppress(GalleryError, UsageError):
        models = models_for_gallery(subject.models, subject.gallery, subject.gallery_sync)
        return replace(subject, models=models)
    return subject


def look_at_camera(
    source: SourceSettings, models: ModelSettings, seconds: float
) -> tuple[CameraLook, tuple[TriedDetector, ...]]:
    """Try the detector in use, and then the other shipped ones, on a camera or a file.

    Raises:
        SourceError: it gives no picture.
        ModelError: a detector is missing or corrupt.
    """
    detectors = in_use_and_shipped(models)
    with open_source(source) as camera:
        last_s = time.monotonic() + seconds + source.stall_timeout_s

        def idle() -> None:
            if time.monotonic() > last_s:  # it fell silent: what was seen until then counts
                camera.close()

        return look_at(camera.frames(idle), detectors, seconds), detectors


def _guard(
    name: str, check: Callable[[], Diagnosis], *, is_excused: bool = False
) -> Iterator[Diagnosis]:
    """The result of a check, of a wrong configuration one for each mistake.

    An excused failure is a warning, unless the configuration is wrong.
    """
    blame = Verdict.WARNING if is_excused else Verdict.FAILURE
    try:
        diagnosis = replace(check(), name=name)  # there may be several of a kind
    except ForeignCertificateError as error:
        yield from _each_mistake(name, error, Verdict.WARNING)
    except ConfigError as error:
        yield from _each_mistake(name, error, Verdict.FAILURE)
    except EdgeReidError as error:
        yield _complaint(name, str(error), blame)
    else:
        is_failure = diagnosis.verdict is Verdict.FAILURE
        yield replace(diagnosis, verdict=blame) if is_failure else diagnosis


def _each_mistake(name: str, error: ConfigError, verdict: Verdict) -> Iterator[Diagnosis]:
    for problem in error.problems:
        yield _complaint(name, f"{error.where}: {problem}", verdict)


def _complaint(name: str, text: str, verdict: Verdict) -> Diagnosis:
    """What is wrong, and what to do, of a line that says both."""
    detail, _, remedy = text.rpartition("; ")
    return Diagnosis(name, verdict, detail or remedy, remedy if detail else "")


def _runtime() -> Diagnosis:
    names = available_runtimes()
    if not names:
        remedy = "pip install ai-edge-litert (or tflite-runtime on a 32-bit Pi)"
        return Diagnosis("runtime", Verdict.FAILURE, "no TFLite runtime is installed", remedy)
    return Diagnosis("runtime", Verdict.OK, ", ".join(names))


def _check_there(model: Path, kind: ModelKind) -> None:
    """Raise ModelError, as `run` words it, if a path can be no model's."""
    if mistake := model_mistake(model, kind):
        raise ModelError(mistake)


def _detector(models: ModelSettings) -> Diagnosis:
    _check_there(models.detector, "detector")
    detector = load_detector(models.detector, runtime=models.runtime, threads=models.threads)
    manifest = detector.manifest
    blank = np.full((manifest.input_height_px, manifest.input_width_px, 3), 114, np.uint8)
    detector.detect(blank)
    took_ms = _median_ms(lambda: detector.detect(blank))
    detail = f"{manifest.name}, checksum good, {took_ms:.0f} ms a frame, {_terms(manifest.licence)}"
    return _vouched(Diagnosis("detector", Verdict.OK, detail), models.detector, models.public_key)


def _embedding(models: ModelSettings) -> Diagnosis:
    _check_there(models.embedding, "embedding")
    embedder = Embedder(models.embedding, runtime=models.runtime, threads=models.threads)
    manifest = embedder.manifest
    noise = np.random.default_rng(0).integers(0, 256, (128, 64, 3), dtype=np.uint8)
    embedder.embed([noise])
    took_ms = _median_ms(lambda: embedder.embed([noise]))
    detail = (
        f"{manifest.name}, model_id {manifest.model_id}, checksum good, {took_ms:.1f} ms a crop, "
        f"{_terms(manifest.licence)}"
    )
    diagnosis = Diagnosis("embedding model", Verdict.OK, detail)
    return _vouched(diagnosis, models.embedding, models.public_key)


def _terms(licence: str) -> str:
    """An installer is to know before the device is on the wall."""
    return f"terms: {licence}"


def _vouched(diagnosis: Diagnosis, model: Path, key_file: Path | None) -> Diagnosis:
    """Add who signed the manifest of a model.

    Raises:
        ModelError: it is signed with another key.
    """
    if key_file is None:
        return replace(diagnosis, detail=f"{diagnosis.detail}, signature not looked at")
    key = read_public_key(key_file)
    if is_signed(model, key):
        return replace(diagnosis, detail=f"{diagnosis.detail}, signed by {key.key_id}")
    return replace(
        diagnosis,
        verdict=Verdict.WARNING,
        detail=f"{diagnosis.detail}, signed by nobody",
        remedy="make the bundle with --key, which signs the manifests of its models",
    )


def _median_ms(call: Callable[[], object], times: int = 5) -> float:
    def once() -> float:
        start = time.perf_counter()
        call()
        return (time.perf_counter() - start) * 1e3

    return float(np.median([once() for _ in range(times)]))


def _sound_manifest(model: Path) -> EmbeddingManifest | None:
    """Of an embedding model; None if that is not sound, which its own check tells."""
    with suppress(ModelError):
        return load_embedding_manifest(model)
    return None


def _not_compared(detail: str) -> Diagnosis:
    why = "not compared with the model, which is told above"
    return Diagnosis("gallery", Verdict.SKIPPED, f"{detail}; {why}")


def _any_gallery(subject: CheckedInstallation) -> Diagnosis:
    if subject.gallery is not None and subject.gallery_sync is not None:
        return _followed_gallery(subject.gallery, subject.models, subject.gallery_sync)
    return _gallery(subject.gallery, subject.models, subject.decide)


def _followed_gallery(path: Path, models: ModelSettings, sync: GallerySyncSettings) -> Diagnosis:
    key = read_public_key(sync.public_key)
    follows = f"follows {sync.source}, signed by {key.key_id}"
    if not path.exists():
        return Diagnosis("gallery", Verdict.OK, f"{follows}; none has come yet")
    with Replica.open(path) as replica:
        held, in_force = replica.held, replica.in_force
    if in_force is None:
        return Diagnosis("gallery", Verdict.OK, f"{follows}; none has come yet")
    head = open_head(in_force.sealed, key)
    manifest = _sound_manifest(models.embedding)
    detail = f"{follows}; {_identities(head.identities)}, version {head.version}"
    if manifest is None:
        return _not_compared(detail)
    if head.model_id == manifest.model_id:
        return Diagnosis("gallery", Verdict.OK, f"{detail}, same model{_why_this_model(models)}")
    usable = [kept.version for kept in held if model_id_of(kept, key) == manifest.model_id]
    instead = (
        f"version {usable[0]}, kept from before, is used" if usable else "nobody is recognised"
    )
    if damage := _damage_of(head.model_id, models):
        why, _, remedy = damage.rpartition("; ")
        return Diagnosis("gallery", Verdict.FAILURE, f"{detail}: {instead}, as {why}", remedy)
    waits = (
        f"{detail}, of model {model_in_words(head.model_id)}: {instead} until one of "
        f"{model_in_words(manifest.model_id)} comes"
    )
    remedy = "edge-reid gallery publish, from a gallery of this model, or name the other model"
    return Diagnosis("gallery", Verdict.WARNING, waits, remedy)


def _damage_of(model_id: str, models: ModelSettings) -> str | None:
    """What is wrong with the shipped model that a published gallery is of, where nobody names one;
    None: it is sound, or not in this installation.
    """
    if models.names_embedding:
        return None
    try:
        sound_shipped_model(models, model_id)
    except ModelError as error:
        return str(error)
    return None


def _why_this_model(models: ModelSettings) -> str:
    """What to say of the model of a published gallery that was taken in the default's place."""
    default = default_passed_over(models)
    if default is None:
        return ""
    return (
        f", taken as models.embedding names none; the default, {default}, is taken once a gallery "
        "of it is published"
    )


def _updates(update: UpdateSettings) -> Diagnosis:
    key = read_public_key(update.public_key)
    detail = f"follows {update.source}, signed by {key.key_id}"
    if not update.source.startswith("https://") and not Path(update.source).is_dir():
        remedy = "put the stick in, or mount it there"
        return Diagnosis("updates", Verdict.WARNING, f"{detail}: no such folder now", remedy)
    return Diagnosis("updates", Verdict.OK, detail)


def _gallery(path: Path | None, models: ModelSettings, decide: DecideSettings) -> Diagnosis:
    if path is None:
        return Diagnosis("gallery", Verdict.SKIPPED, "none given")
    manifest = _sound_manifest(models.embedding)
    with GalleryStore.open(path, model_id=manifest.model_id if manifest else None) as store:
        people = store.identities()
        version = store.version
        templates_each = np.bincount(store.snapshot().labels).tolist()
    if not people:
        remedy = "edge-reid gallery enroll NAME PHOTO…"
        return Diagnosis("gallery", Verdict.WARNING, "nobody is enrolled", remedy)
    detail = f"{_identities(len(people))}, version {version}"
    if manifest is None:
        return _not_compared(detail)
    detail += ", same model"
    if decide.threshold is not None:
        return Diagnosis(
            "gallery", Verdict.OK, f"{detail}; threshold fixed at {decide.threshold:g}"
        )
    thresholds, asked = GalleryThresholds.of(manifest), (decide.target_fpir, templates_each)
    detail += f"; threshold {thresholds.threshold(*asked):.3f} for FPIR {decide.target_fpir:g}"
    if not thresholds.is_measured(*asked):
        return Diagnosis(
            "gallery", Verdict.WARNING, f"{detail} {BEYOND_MEASURED}", BEYOND_MEASURED_REMEDY
        )
    return Diagnosis("gallery", Verdict.OK, detail)


def _identities(count: int) -> str:
    return "1 identity" if count == 1 else f"{count} identities"


def _sources(sources: Mapping[str, SourceSettings], *, is_excused: bool) -> Iterator[Diagnosis]:
    """One check a camera, named after it where there are several."""
    if not sources:
        yield Diagnosis("source", Verdict.SKIPPED, "none given")
    for name, settings in sources.items():
        title = f"source {name}" if len(sources) > 1 else "source"
        if settings.detect_uri:
            small = partial(_source, settings.detect_stream)
            yield from _guard(f"{title}, detect_uri", small, is_excused=is_excused)
        yield from _guard(title, partial(_source, settings.crop_stream), is_excused=is_excused)


def _source(settings: SourceSettings) -> Diagnosis:
    with open_source(settings) as source:
        frame = next(iter(source), None)
        width, height = source.size_px
    if frame is None:
        remedy = "check the camera or the file with another player"
        return Diagnosis("source", Verdict.FAILURE, "opened, but gave no frame", remedy)
    return Diagnosis("source", Verdict.OK, f"{width}×{height} at {source.fps:g} frames/s")


def _broker(settings: MqttSettings | None) -> Diagnosis:
    if settings is None or settings.url is None:
        return Diagnosis("broker", Verdict.SKIPPED, "none given")
    broker = Broker.from_settings(settings)
    connection = connect(broker)
    connection.close()
    return Diagnosis("broker", Verdict.OK, f"{broker} lets us in ({connection.version.name})")


def _certificate(subject: CheckedInstallation) -> Iterator[Diagnosis]:
    """Whether the broker knows the agent by its name. One that cannot be read is `broker`'s."""
    holder = subject.holder
    shown = certificate_shown(subject.mqtt) if subject.mqtt else None
    certificate = read_certificate(shown)
    if holder is None or certificate is None:
        return

    def check() -> Diagnosis:
        check_holder(certificate, holder)
        return Diagnosis("certificate", Verdict.OK, f"is of {holder} of site {holder.site}")

    yield from _guard("certificate", check)


def _clock() -> Diagnosis:
    now = datetime.now(timezone.utc)
    shown = now.isoformat(timespec="seconds")
    if now < RELEASED_UTC:
        remedy = "set the clock, or let NTP do it: events carry its time"
        return Diagnosis("clock", Verdict.FAILURE, f"{shown} is before this release", remedy)
    if Path("/run/systemd/system").exists() and not TIME_SYNCED.exists():
        remedy = "enable systemd-timesyncd or chrony if nothing else sets the clock"
        return Diagnosis("clock", Verdict.WARNING, f"{shown}, not known to be synchronised", remedy)
    return Diagnosis("clock", Verdict.OK, shown)


def _disk(state_dir: Path) -> Diagnosis:
    folder = state_dir.absolute()  # the agent makes it
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(nearest).free
    detail = f"{free / 1e9:.1f} GB free"
    if free < LEAST_FREE_BYTES:
        remedy = "make room: the outbox needs it when the broker is away"
        return Diagnosis("disk", Verdict.FAILURE, detail, remedy)
    return Diagnosis("disk", Verdict.OK, detail)
