"""Releases by every transport: where a device takes files from, and where they are published.

Files lie at `files/<sha256>` on a web server or in a folder. A file that two releases share lies
there, and travels, once. The head lies at the broker (`channel`).
"""

from __future__ import annotations

from pathlib import Path

from edge_reid.core.config.sync_settings import UpdateSettings
from edge_reid.core.errors import BundleError
from edge_reid.release.release_head import MAX_HEAD_BYTES
from edge_reid.signing.transport import PublicationSource
from edge_reid.transfer.folder import FolderSource
from edge_reid.transfer.https import HttpsSource
from edge_reid.transfer.layout import Layout

RELEASE = Layout(
    noun="release",
    section="update",
    republish="publish the release again",
    error=BundleError,
    max_head_bytes=MAX_HEAD_BYTES,
    is_chunked=False,
)
_POLL_S = 600.0
"""A source of files is not asked for its head."""


def open_release_source(settings: UpdateSettings) -> PublicationSource:
    """The source of files that the settings name. It need not be there yet.

    Raises:
        ConfigError: a file that they name cannot be read.
    """
    if settings.source.startswith("https://"):
        return HttpsSource(settings.source, RELEASE, settings.ca_file, poll_s=_POLL_S)
    return FolderSource(Path(settings.source), RELEASE, poll_s=_POLL_S)
