"""A release is published: its files into a folder, then its head to the broker.

Files first, so that whoever hears of a release finds all of it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from edge_reid.core.errors import BundleError
from edge_reid.core.progress import StageProgress, of_stage
from edge_reid.release.bundle_file import verify
from edge_reid.release.bundle_manifest import BundledFile, BundleManifest
from edge_reid.release.channel import ReleaseChannel
from edge_reid.release.release_head import ReleaseHead, RolloutGroup, TargetRelease, open_head, seal
from edge_reid.release.release_transfer import RELEASE
from edge_reid.signing.blobs import BlobRef, ref_of
from edge_reid.signing.keys import SigningKey
from edge_reid.transfer.folder import FolderTarget


@dataclass(frozen=True, slots=True)
class RolloutPlan:
    """How a release is to go out."""

    site: str
    groups: tuple[RolloutGroup, ...]
    soak_s: float


@dataclass(frozen=True, slots=True)
class PublishedRelease:
    """What a publication did."""

    head: ReleaseHead
    new: int
    """Files that did not lie in the folder."""
    new_bytes: int
    foreign: bool
    """Whether a head lay there that this key had not signed."""


def publish(
    bundles: Sequence[Path],
    plan: RolloutPlan,
    key: SigningKey,
    folder: Path,
    channel: ReleaseChannel,
    *,
    progress: StageProgress = lambda *_: None,
) -> PublishedRelease:
    """Publish a release: one bundle for each kind of device.

    Args:
        bundles: made without `--device`, signed by this key.
        plan: whom it is for, and in which order.
        key: signs the head.
        folder: for the files, as the web server or the stick has it.
        channel: to the broker.
        progress: told how far it is.

    Raises:
        BundleError: a bundle is damaged, signed by another, or not for all devices of this site;
            two are for one target, or of two releases.
        UsageError: the folder cannot be written.
        BrokerError: the broker is not there, or does not let us.
    """
    files = _ReleaseFiles(FolderTarget(folder, RELEASE))
    manifests = [_put(bundle, plan, key, files, progress) for bundle in bundles]
    _check_one_release(manifests)
    os.sync()  # before the look: who publishes between it and the new head takes the same serial
    before, foreign = _published_serial(channel, key)
    now_utc_s = time.time()
    head = ReleaseHead(
        site=plan.site,
        # by the clock: devices remember serials, the broker may have none any more
        serial=max(before + 1, int(now_utc_s)),
        version=manifests[0].version,
        targets={manifest.target: _target(manifest, files) for manifest in manifests},
        groups=plan.groups,
        soak_s=plan.soak_s,
        created_utc_s=round(now_utc_s, 3),
        key_id=key.public.key_id,
    )
    channel.put_head(seal(head, key))
    return PublishedRelease(head, files.new, files.new_bytes, foreign)


def _put(
    bundle: Path,
    plan: RolloutPlan,
    key: SigningKey,
    files: _ReleaseFiles,
    progress: StageProgress,
) -> BundleManifest:
    manifest = verify(bundle, key.public, of_stage(bundle.name, progress), sink=files)
    if manifest.device is not None or manifest.site != plan.site:
        raise BundleError(
            f"bundle {bundle}: expected one for all devices of {plan.site}, got one for device "
            f"{manifest.device or 'any'} of {manifest.site}; make it with `edge-reid bundle`, "
            "without --device: what is published may be read by anybody"
        )
    return manifest


def _check_one_release(manifests: Sequence[BundleManifest]) -> None:
    versions = sorted({manifest.version for manifest in manifests})
    targets = [manifest.target for manifest in manifests]
    if len(versions) != 1 or len(set(targets)) != len(targets):
        raise BundleError(
            "publish: expected the bundles of one release, one for each target, got "
            f"{', '.join(f'{manifest.version} for {manifest.target}' for manifest in manifests)}"
        )


def _published_serial(channel: ReleaseChannel, key: SigningKey) -> tuple[int, bool]:
    """The serial of the published head, 0 if none of this key is; whether another key's is."""
    signed_head = channel.read().head
    if signed_head is None:
        return 0, False
    try:
        return open_head(signed_head, key.public).serial, False
    except BundleError:  # no device that pins our key takes it: it is in nobody's way
        return 0, True


def _target(manifest: BundleManifest, files: _ReleaseFiles) -> TargetRelease:
    body = manifest.to_bytes()
    ref = ref_of(body)
    with files.create(ref) as sink:
        if sink:
            sink.write(body)
    return TargetRelease(
        manifest_sha256=ref.sha256,
        manifest_bytes=ref.size_bytes,
        size_bytes=manifest.size_bytes,
    )


class _ReleaseFiles:
    """Writes the files of bundles into a folder, and counts those that were not there."""

    def __init__(self, target: FolderTarget) -> None:
        self._target = target
        self.new = 0
        self.new_bytes = 0

    def front(self, name: str, body: bytes) -> None:
        """Write nothing: the head names the manifest by its hash, and is signed itself."""

    def file(self, file: BundledFile) -> AbstractContextManager[IO[bytes] | None]:
        """Where a file of a bundle goes, unless it is there."""
        return self.create(file.ref)

    @contextmanager
    def create(self, ref: BlobRef) -> Iterator[IO[bytes] | None]:
        """Where to write a file, unless it is there."""
        with self._target.create(ref) as sink:
            yield sink
        if sink is not None:
            self.new += 1
            self.new_bytes += ref.size_bytes
