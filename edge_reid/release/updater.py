"""A device follows the releases that are published for its site: one look, and what comes of it.

It runs as the user of the agents and can change nothing that runs: it fetches, and leaves what it
has fetched for `installer`, which root runs and which believes none of it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal, TypeAlias

from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.config.sync_settings import UpdateSettings
from edge_reid.core.errors import BundleError, EdgeReidError
from edge_reid.core.files import read_json_or_none, write_whole
from edge_reid.core.progress import Progress, StageProgress
from edge_reid.mqtt.broker import Broker
from edge_reid.release.bundle_manifest import BundleManifest, parse_manifest
from edge_reid.release.channel import ChannelState, ReleaseChannel
from edge_reid.release.device import Device, Installed, check_newer
from edge_reid.release.release_head import ReleaseHead, TargetRelease, check_manifest, open_head
from edge_reid.release.release_transfer import open_release_source
from edge_reid.release.rollout import reason_to_wait
from edge_reid.release.soak import Watch
from edge_reid.signing.keys import PublicKey, read_public_key
from edge_reid.signing.transport import PublicationSource
from edge_reid.wire.events import rfc3339
from edge_reid.wire.payloads import DeviceUpdate

State: TypeAlias = Literal["current", "waiting", "fetching", "installing", "failed", "taken-back"]

FAILED_AGAIN_S = 3600
"""What could not be installed is tried again after so long: the disk may have room by then."""


@dataclass(frozen=True, slots=True)
class _Standing:
    """How the device stands with what is published."""

    state: State
    reason: str | None = None


def check_once(
    device: Device,
    settings: AgentSettings,
    update: UpdateSettings,
    progress: StageProgress = lambda *_: None,
) -> DeviceUpdate:
    """Look once at what is published, fetch it if it is this device's turn, and report.

    Args:
        device: this one.
        settings: of the agent that reports for it.
        update: where releases come from, and who signs them.
        progress: told how far it is.

    Returns:
        The last report.

    Raises:
        BundleError: nothing is installed here that could be updated.
        BrokerError: the broker is not there, or refuses us.
        UsageError: the public key cannot be read.
    """
    key = read_public_key(update.public_key)
    installed = device.installed
    channel = ReleaseChannel(Broker.from_settings(settings.mqtt), settings.mqtt.root, settings.site)
    with channel:
        published = channel.read()
        head, refusal = _open_head(published, key, settings, update, device)
        reporter = _Reporter(device, settings, installed.manifest, head)
        if head is None:
            standing: _Standing | None = _Standing("failed" if refusal else "current", refusal)
        else:
            standing = _standing(device, installed, head, published, settings.agent)
        report = reporter.report(standing or _Standing("fetching"))
        channel.report(report)
    if head is None or published.head is None or standing:
        return report
    try:  # without a connection, which no broker would keep for an hour of silence
        _fetch(device, installed, head, open_release_source(update), progress)
        device.downloads.make_ready(published.head)
        report = reporter.report(_Standing("installing"))
    except EdgeReidError as error:
        report = reporter.report(_Standing("failed", str(error)))
    with channel:
        channel.report(report)
    return report


def _open_head(
    published: ChannelState,
    key: PublicKey,
    settings: AgentSettings,
    update: UpdateSettings,
    device: Device,
) -> tuple[ReleaseHead | None, str | None]:
    """The head, if one is there that this device takes; and why not, if it does not."""
    if published.head is None:
        return None, None
    try:
        head = open_head(published.head, key)
        check_newer(head, settings.site, device, update.least_serial)
    except BundleError as error:
        return None, str(error)
    return head, None


def _standing(
    device: Device, installed: Installed, head: ReleaseHead, published: ChannelState, agent: str
) -> _Standing | None:
    """How the device stands with a head; None: it is time to fetch what it names."""
    target = head.targets.get(installed.manifest.target)
    if target is None:
        return _Standing("waiting", f"{head.version} is not for {installed.manifest.target}")
    if target.manifest_sha256 == installed.sha256:
        failing = device.failing_agents()
        return _Standing("failed", failing) if failing else _Standing("current")
    if device.downloads.ready.exists():
        return _Standing("installing")
    if reason := device.taken_back(head.version):
        return _Standing("taken-back", reason)
    attempt = device.attempt
    if attempt and attempt.serial == head.serial and _is_fresh(attempt.at_utc_s):
        return _Standing("failed", attempt.failure or "another was installed since, by hand")
    watched_s = Watch(device.soak_file).look(head, published.reports, time.time())
    wait = reason_to_wait(head, agent, published.reports, watched_s)
    return _Standing("waiting", wait) if wait else None


def _is_fresh(at_utc_s: int) -> bool:
    return 0 <= time.time() - at_utc_s < FAILED_AGAIN_S


def _fetch(
    device: Device,
    installed: Installed,
    head: ReleaseHead,
    source: PublicationSource,
    progress: StageProgress,
) -> None:
    downloads = device.downloads
    target = head.targets[installed.manifest.target]
    manifest = _fetch_manifest(device, installed, head, target, source)
    refs = {file.ref for file in manifest.files}
    by_hash = sorted(refs, key=lambda ref: ref.sha256)
    missing = [ref for ref in by_hash if not downloads.has(ref)]
    downloads.check_room(missing)
    total, before = sum(ref.size_bytes for ref in missing), 0
    for ref in missing:
        downloads.fetch(ref, source, _shifted(before, total, progress))
        before += ref.size_bytes
    downloads.keep_only({*refs, target.manifest})


def _shifted(before: int, total: int, progress: StageProgress) -> Progress:
    """The progress of one file, told as that of all."""
    return lambda done, _: progress("fetching", before + done, total)


def _fetch_manifest(
    device: Device,
    installed: Installed,
    head: ReleaseHead,
    target: TargetRelease,
    source: PublicationSource,
) -> BundleManifest:
    """The manifest of the release, known to be for this device."""
    path = device.downloads.fetch(target.manifest, source)
    manifest = parse_manifest(path.read_bytes())
    check_manifest(manifest, head, installed.manifest, device.name)
    return manifest


class _Reporter:
    """Makes reports of how the device stands, and remembers since when it does."""

    def __init__(
        self,
        device: Device,
        settings: AgentSettings,
        runs: BundleManifest,
        head: ReleaseHead | None,
    ) -> None:
        self._device = device
        self._settings = settings
        self._runs = runs
        self._head = head

    def report(self, standing: _Standing) -> DeviceUpdate:
        now = rfc3339(time.time())
        report = DeviceUpdate(
            site=self._settings.site,
            agent=self._settings.agent,
            release=self._runs.version,
            target=self._runs.target,
            serial=self._head.serial if self._head else 0,
            wanted=self._head.version if self._head else None,
            state=standing.state,
            reason=standing.reason,
            since=now,
            at=now,
        )
        before = _last(self._device)
        if before and _is_same(before, report):
            return report.model_copy(update={"since": before.since})
        # an SD card is written to for news only
        self._device.report_file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self._device.report_file, report.to_json().encode())
        return report


def _last(device: Device) -> DeviceUpdate | None:
    return read_json_or_none(device.report_file, DeviceUpdate.model_validate)


def _is_same(one: DeviceUpdate, other: DeviceUpdate) -> bool:
    return (one.release, one.serial, one.state) == (other.release, other.serial, other.state)
