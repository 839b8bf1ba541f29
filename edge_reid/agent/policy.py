"""Which similarity is enough: as configured, until a command says another."""

from __future__ import annotations

from edge_reid.core.config import DecideSettings
from edge_reid.core.manifest import EmbeddingManifest
from edge_reid.matching.index import Index
from edge_reid.matching.threshold import threshold_for


class Standard:
    """The least similarity of a known identity, for whichever gallery is in force."""

    def __init__(self, manifest: EmbeddingManifest, decide: DecideSettings) -> None:
        self._manifest = manifest
        self._decide = decide
        self.set_by_command: float | None = None
        """Wins over what is configured."""

    def configure(self, decide: DecideSettings, index: Index) -> None:
        """Go by this configuration; what a command had set is over.

        Raises:
            ModelError: it gives no threshold for that gallery; nothing is changed then.
        """
        self._configured(decide, index)
        self._decide = decide
        self.set_by_command = None

    def threshold_of(self, index: Index) -> float:
        """The one for a gallery: set, fixed, or derived from how many templates it holds."""
        if self.set_by_command is not None:
            return self.set_by_command
        return self._configured(self._decide, index)

    def _configured(self, decide: DecideSettings, index: Index) -> float:
        if decide.threshold is not None:
            return decide.threshold
        return threshold_for(self._manifest.impostor_quantiles, decide.target_fpir, len(index))
