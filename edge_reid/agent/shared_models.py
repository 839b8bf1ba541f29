"""The models of an agent: each file is loaded once, whatever cameras use it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.config.vision_settings import ModelSettings
from edge_reid.signing.keys import read_public_key
from edge_reid.signing.model_signature import is_signed
from edge_reid.vision.detect import Detector, load_detector
from edge_reid.vision.embed import Embedder

_log = logging.getLogger(__name__)


class SharedModels:
    """One embedder, and a detector for each file that a camera names.

    Args:
        settings: of the agent.
        lookers: so many threads look at a time, `models.threads` at most, which they share.

    Raises:
        ModelError: a model is missing, damaged, or signed by somebody else than the pinned key.
        UsageError: a camera's weak score is above its strong one.
    """

    def __init__(self, settings: AgentSettings, lookers: int = 1) -> None:
        models = settings.models
        threads = models.threads // lookers
        files = {
            name: camera.detect.model or models.detector
            for name, camera in settings.cameras.items()
        }
        check_signatures(models, [*dict.fromkeys(files.values()), models.embedding])
        self.embedder = Embedder(
            models.embedding, runtime=models.runtime, threads=threads, at_once=lookers
        )
        loaded = {
            file: load_detector(file, runtime=models.runtime, threads=threads, at_once=lookers)
            for file in dict.fromkeys(file.resolve() for file in files.values())
        }
        self._detectors = {
            name: loaded[files[name].resolve()].with_scores(
                strong=camera.detect.strong_score, weak=camera.detect.weak_score
            )
            for name, camera in settings.cameras.items()
        }

    def detector_of(self, camera: str) -> Detector:
        """With the scores of this camera."""
        return self._detectors[camera]


def check_signatures(models: ModelSettings, files: Sequence[Path]) -> None:
    """Raise ModelError if somebody else than the pinned key signed a model; say if nobody did."""
    if models.public_key is None:
        return
    key = read_public_key(models.public_key)
    for file in files:
        if not is_signed(file, key):
            _log.warning("model %s: nobody signed its manifest; pinned is %s", file, key.key_id)
