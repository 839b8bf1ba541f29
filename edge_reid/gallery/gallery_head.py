"""The head of a published gallery: a few hundred signed bytes that describe it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge_reid.core.config.section import Name
from edge_reid.core.errors import SnapshotError
from edge_reid.core.manifest import model_in_words
from edge_reid.core.types import END_UTC_S
from edge_reid.core.validation_errors import describe_mistakes
from edge_reid.signing import envelope as seals
from edge_reid.signing.blobs import MAX_BLOB_BYTES, MAX_HEAD_BYTES, BlobRef
from edge_reid.signing.keys import PublicKey, SigningKey

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, lt=1 << 53)]
Size = Annotated[int, Field(gt=0, le=MAX_BLOB_BYTES)]

_BYTES_PER_NUMBER = 4  # of a vector in memory


class Root(BaseModel):
    """The root blob of the tree."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    sha256: Sha256
    size_bytes: Size

    @property
    def ref(self) -> BlobRef:
        return BlobRef(self.sha256, self.size_bytes)


class Head(BaseModel):
    """One version of a site's gallery."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, populate_by_name=True, protected_namespaces=()
    )

    schema_: Annotated[Literal["edge-reid.gallery-head/1"], Field(alias="schema")] = (
        "edge-reid.gallery-head/1"
    )
    site: Name
    model_id: str
    dimension: Annotated[int, Field(gt=0, le=4096)]
    version: Annotated[int, Field(gt=0, lt=1 << 53)]
    """Rises with every change of the gallery."""
    root: Root
    blobs: Annotated[int, Field(gt=0, lt=1 << 32)]
    """Blobs of the tree, with the root."""
    size_bytes: Annotated[int, Field(gt=0, lt=1 << 53)]
    """Size of all blobs."""
    identities: Count
    templates: Count
    created_utc_s: Annotated[float, Field(ge=0, lt=END_UTC_S, allow_inf_nan=False)]
    """Time of publication."""
    key_id: str

    @property
    def size_in_memory_bytes(self) -> int:
        """Size of the vectors in memory."""
        return self.templates * self.dimension * _BYTES_PER_NUMBER


@dataclass(frozen=True, slots=True)
class TrustPolicy:
    """What a gallery must match to be taken by a device."""

    key: PublicKey
    site: str
    model_id: str
    dimension: int
    max_bytes: int
    """Most bytes of all blobs, and of the vectors in memory."""
    least_version: int = 0
    """Older versions are refused, whatever the device has had."""

    def of_model(self, model_id: str, dimension: int) -> TrustPolicy:
        """The same for a gallery of another model."""
        return replace(self, model_id=model_id, dimension=dimension)


def seal(head: Head, key: SigningKey) -> bytes:
    """The signed bytes that are published."""
    return seals.sign(head.model_dump_json(by_alias=True).encode(), key)


def open_head(sealed: bytes, key: PublicKey) -> Head:
    """Check the signature of a head, then parse it.

    Raises:
        SnapshotError: it is too large, not signed with this key, or not a head.
    """
    try:
        body = seals.verify_envelope(sealed, key, MAX_HEAD_BYTES)
    except seals.EnvelopeError as error:
        raise SnapshotError(f"gallery head: {error}") from error
    try:
        return Head.model_validate_json(body)
    except ValidationError as error:
        raise SnapshotError(
            f"gallery head: signed, but of another kind: {describe_mistakes(error)[0]}; "
            "update edge-reid on the device"
        ) from error


def check_head(head: Head, pinned: TrustPolicy) -> None:
    """Raise SnapshotError unless the device may take the gallery and has room for it.

    Raises:
        SnapshotError: the gallery is of another site or model, or too large.
    """
    where = f"gallery version {head.version}"
    if head.site != pinned.site:
        raise SnapshotError(f"{where}: expected one of site {pinned.site}, got one of {head.site}")
    if (head.model_id, head.dimension) != (pinned.model_id, pinned.dimension):
        raise SnapshotError(
            f"{where}: expected embeddings of model {model_in_words(pinned.model_id)} with "
            f"{pinned.dimension} numbers, got model {model_in_words(head.model_id)} with "
            f"{head.dimension}; give the device that model as models.embedding"
        )
    if (size := max(head.size_bytes, head.size_in_memory_bytes)) > pinned.max_bytes:
        raise SnapshotError(
            f"{where}: expected at most {pinned.max_bytes} bytes, got {size}; "
            "raise gallery_sync.max_bytes if the device has the memory"
        )
