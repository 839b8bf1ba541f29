"""What a device follows: its gallery, and releases."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from edge_reid.core.config.section import Section


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


class GallerySyncSettings(Section):
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


class UpdateSettings(Section):
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
