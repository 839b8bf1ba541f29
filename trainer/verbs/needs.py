"""What the trainer's verbs need before they begin: Keras with the backend that was asked for."""

from __future__ import annotations

from edge_reid.core.extras import require


def need_keras() -> None:
    """Import Keras without its messages.

    Raises:
        EdgeReidError: the extra `trainer` is not installed here.
        TrainingError: the backend that KERAS_BACKEND names is not.
    """
    require("trainer", "keras")
    from trainer.network.backend import start_backend

    start_backend()
