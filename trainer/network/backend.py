"""Keras' backends and converters kept off the terminal, unless something fails."""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from edge_reid.core.errors import TrainingError


@contextmanager
def hushed() -> Iterator[None]:
    """Hold back what the block writes to standard error; an error lets it all out.

    The notices are written from C++ to file descriptor 2 and most have no switch.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        standard_error = os.dup(2)
        os.dup2(held.fileno(), 2)
        failed = True
        try:
            yield
            failed = False
        finally:
            sys.stderr.flush()
            os.dup2(standard_error, 2)
            os.close(standard_error)
            if failed:
                held.seek(0)
                os.write(2, held.read())


def start_backend() -> None:
    """Import Keras with the backend that KERAS_BACKEND names (default TensorFlow), in silence.

    Raises:
        TrainingError: that backend is not installed, or is none.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with hushed():
            import keras  # noqa: PLC0415 - this is the place that starts it

            if keras.backend.backend() == "tensorflow":
                _start_tensorflow()
    except (ImportError, ValueError) as error:
        asked = os.environ.get("KERAS_BACKEND", "tensorflow")
        raise TrainingError(
            f"KERAS_BACKEND: expected tensorflow, jax or torch, installed here, got {asked} "
            f"({error}); install it, or name another"
        ) from error


def _start_tensorflow() -> None:
    """Let TensorFlow look for its devices, so that its messages come now."""
    import tensorflow as tf  # noqa: PLC0415 - only where it is the backend

    tf.config.list_physical_devices()
    tf.get_logger().setLevel("ERROR")
    tf.constant(0)
