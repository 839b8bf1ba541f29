"""The head of a published release: what devices are to run, and in which order they take it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from edge_reid.core.config.section import Name
from edge_reid.core.errors import BundleError
from edge_reid.core.types import END_UTC_S
from edge_reid.core.validation_errors import describe_mistakes
from edge_reid.release.bundle_manifest import (
    CONFIG,
    MAX_BUNDLE_BYTES,
    MAX_MANIFEST_BYTES,
    VERSION_PATTERN,
    BundleManifest,
    Sha256,
    SignedRecord,
)
from edge_reid.signing import envelope as seals
from edge_reid.signing.blobs import BlobRef
from edge_reid.signing.keys import PublicKey, SigningKey

MAX_HEAD_BYTES = 64 << 10
"""A thousand devices in groups take a third of it."""


class TargetRelease(SignedRecord):
    """The bundle for one kind of device, by the manifest that lists its files."""

    manifest_sha256: Sha256
    manifest_bytes: Annotated[int, Field(gt=0, le=MAX_MANIFEST_BYTES)]
    size_bytes: Annotated[int, Field(gt=0, le=MAX_BUNDLE_BYTES)]
    """Of all files."""

    @property
    def manifest(self) -> BlobRef:
        return BlobRef(self.manifest_sha256, self.manifest_bytes)


class RolloutGroup(SignedRecord):
    """Devices that take a release together."""

    name: Name
    agents: Annotated[tuple[Name, ...], Field(strict=False)]
    """One a device: the one that reports for it. Its login at the broker makes it trustworthy."""


class ReleaseHead(SignedRecord):
    """A release for a site."""

    schema_: Annotated[Literal["edge-reid.release-head/1"], Field(alias="schema")] = (
        "edge-reid.release-head/1"
    )
    site: Name
    serial: Annotated[int, Field(gt=0, lt=1 << 53)]
    """Rises with every publication, also of an older release: no device takes a lower one again.
    Unix seconds of the publication, or one more than the head before had, if that is more."""
    version: Annotated[str, Field(pattern=VERSION_PATTERN)]
    targets: Annotated[dict[Name, TargetRelease], Field(min_length=1)]
    groups: Annotated[tuple[RolloutGroup, ...], Field(strict=False)]
    """In their order; devices of none come last."""
    soak_s: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    """So long every device of a group must have run it well before the next group begins."""
    created_utc_s: Annotated[float, Field(ge=0, lt=END_UTC_S, allow_inf_nan=False)]
    key_id: str

    @model_validator(mode="after")
    def _has_each_agent_once(self) -> ReleaseHead:
        agents = [agent for group in self.groups for agent in group.agents]
        if len(agents) > len(set(agents)):
            raise ValueError("groups: should have each agent once")
        return self


def seal(head: ReleaseHead, key: SigningKey) -> bytes:
    """The head as it is published.

    Raises:
        BundleError: it has more devices in its groups than devices will read.
    """
    signed_head = seals.sign(head.model_dump_json(by_alias=True).encode(), key)
    if len(signed_head) > MAX_HEAD_BYTES:
        raise BundleError(
            f"release head: expected at most {MAX_HEAD_BYTES} bytes, got {len(signed_head)}; put "
            "fewer devices into groups: those of none come last anyway"
        )
    return signed_head


def open_head(signed_head: bytes, key: PublicKey) -> ReleaseHead:
    """The head, if that key signed it; nothing of it is parsed before that is known.

    Raises:
        BundleError: it is too large, not signed by that key, or not a head.
    """
    try:
        body = seals.verify_envelope(signed_head, key, MAX_HEAD_BYTES)
        return ReleaseHead.model_validate_json(body)
    except seals.EnvelopeError as error:
        raise BundleError(f"release head: {error}") from error
    except ValidationError as error:
        raise BundleError(
            f"release head: signed, but of another kind: {describe_mistakes(error)[0]}; "
            "upgrade this device by hand"
        ) from error


def groups_in(signed_head: bytes) -> dict[str, frozenset[str]]:
    """The agents of each group, to show them; nobody has looked at the signature.

    What is no head has no groups.
    """
    try:
        head = ReleaseHead.model_validate_json(signed_head.partition(b"\n")[2])
    except ValidationError:
        return {}
    return {group.name: frozenset(group.agents) for group in head.groups}


def check_manifest(
    manifest: BundleManifest, head: ReleaseHead, runs: BundleManifest, device: str
) -> None:
    """Raise BundleError unless a release is what its head says, and for a device.

    Args:
        manifest: of the release.
        head: that named it.
        runs: what the device has installed, and so what kind of device it is.
        device: its name.

    Raises:
        BundleError: it is another, for another kind of device, or has no configuration for this
        one.
    """
    for what, wanted, found in (
        ("site", head.site, manifest.site),
        ("release", head.version, manifest.version),
        ("target", runs.target, manifest.target),
        ("Python", runs.python, manifest.python),
        ("machine", runs.machine, manifest.machine),
        ("device", None, manifest.device),
    ):
        if wanted != found:
            raise BundleError(
                f"release {head.version}: expected {what} {wanted or 'any'}, got {found}; make its "
                "bundle anew"
            )
    if not any(file.path.startswith(f"{CONFIG}{device}/") for file in manifest.files):
        raise BundleError(
            f"release {head.version}: has no configuration for device "
            f"{device or '(without a name)'}; "
            "is it in the site's file, under this name and with this target?"
        )
