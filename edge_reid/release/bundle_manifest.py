"""What is in a bundle: the first file in it, which the signature is over."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge_reid.core.config.section import Name
from edge_reid.core.errors import BundleError, UsageError
from edge_reid.core.validation_errors import describe_mistakes
from edge_reid.signing.blobs import BlobRef

ROOT = "edge-reid-bundle"
"""The one folder of a bundle."""
MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"
CONFIG = "config/"
SECRETS = f"{CONFIG}secrets/"
GALLERY = "gallery/gallery.db"
"""That a device begins with."""
MODELS = "models/"
"""Those that the site's file names."""
VERSION_PATTERN = r"^[0-9A-Za-z][0-9A-Za-z.+_-]{0,63}$"
"""What a release may be called: it becomes the name of a folder."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

MAX_MANIFEST_BYTES = 4 << 20
MAX_BUNDLE_BYTES = 2 << 30
"""Unpacked. A release with everything is a tenth of it."""
_MAX_FILES = 10_000
_PART = re.compile(r"[0-9A-Za-z_+@-][0-9A-Za-z._+@-]{0,198}")


def _inside(path: str) -> str:
    if not all(_PART.fullmatch(part) for part in path.split("/")):
        raise ValueError("should be a path inside the bundle, of letters, digits and ._+@-")
    if path in {MANIFEST, SIGNATURE}:
        raise ValueError("should be one beside the manifest")
    return path


class SignedRecord(BaseModel):
    """What is signed: strict, and without anything unknown."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, populate_by_name=True, protected_namespaces=()
    )


class BundledFile(SignedRecord):
    """One file of a bundle."""

    path: Annotated[str, AfterValidator(_inside)]
    """Below the folder of the bundle."""
    size_bytes: Annotated[int, Field(ge=0, le=MAX_BUNDLE_BYTES)]
    sha256: Sha256

    @property
    def ref(self) -> BlobRef:
        return BlobRef(self.sha256, self.size_bytes)

    @property
    def mode(self) -> int:
        """Permissions, in the bundle and unpacked."""
        if self.path.startswith(CONFIG):  # a camera's address may have a login in it
            return 0o600
        return 0o755 if PurePosixPath(self.path).parts[0] == "install" else 0o644


class BundleManifest(SignedRecord):
    """A release for one kind of device."""

    schema_: Annotated[Literal["edge-reid.bundle/1"], Field(alias="schema")] = "edge-reid.bundle/1"
    version: Annotated[str, Field(pattern=VERSION_PATTERN)]
    target: Name
    python: Annotated[str, Field(pattern=r"^3\.\d{1,2}$")]
    machine: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,32}$")]
    """As `platform.machine()` there."""
    device: Annotated[Name | None, Field(alias="box")]
    """None: for every device of the site, and without anybody's secrets."""
    site: Name
    model_id: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    """Of the embedding model that the site names; where it names none, of that of the first gallery
    or, without one, of the default, which a device runs until it has a gallery."""
    files: Annotated[tuple[BundledFile, ...], Field(max_length=_MAX_FILES, strict=False)]
    """By path."""

    @model_validator(mode="after")
    def _is_in_order(self) -> BundleManifest:
        paths = [file.path for file in self.files]
        if any(first >= second for first, second in pairwise(paths)):
            raise ValueError("files: should be sorted by path, each there once")
        if self.size_bytes > MAX_BUNDLE_BYTES:
            raise ValueError(f"files: should be at most {MAX_BUNDLE_BYTES} bytes together")
        if self.device is None and any(path.startswith(SECRETS) for path in paths):
            raise ValueError("files: should hold no secrets without a device")
        return self

    @property
    def has_gallery(self) -> bool:
        """Whether its device begins with a gallery."""
        return any(file.path == GALLERY for file in self.files)

    def has_model(self, name: str) -> bool:
        """Whether a model, as a shipped one is called, is in it because the site names it."""
        return any(file.path == f"{MODELS}{name}.tflite" for file in self.files)

    @property
    def size_bytes(self) -> int:
        """Of all files, unpacked."""
        return sum(file.size_bytes for file in self.files)

    def to_bytes(self) -> bytes:
        """The file, the same for the same content."""
        return self.model_dump_json(by_alias=True, indent=1).encode() + b"\n"


def check_version(name: str) -> str:
    """The name, if a release may have it; raises UsageError."""
    if not re.fullmatch(VERSION_PATTERN, name):
        raise UsageError(f"release {name!r}: expected letters, digits and .+_-, at most 64")
    return name


def parse_manifest(body: bytes) -> BundleManifest:
    """The manifest of a bundle; raises BundleError when it is none."""
    try:
        return BundleManifest.model_validate_json(body)
    except ValidationError as error:
        raise BundleError(
            f"manifest of another kind: {describe_mistakes(error)[0]}; "
            "make the bundle with the edge-reid that will read it, or update edge-reid here"
        ) from error
