"""TensorFlow's start-up and converter notices kept off the terminal, unless something fails."""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def hushed() -> Iterator[None]:
    """Hold back what is written to standard error inside; an error lets it all out.

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


def start_tensorflow() -> None:
    """Import TensorFlow and let it look for its devices, in silence."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with hushed():
        import tensorflow as tf  # noqa: PLC0415 - this is the place that starts it

        tf.config.list_physical_devices()
        tf.get_logger().setLevel("ERROR")
        tf.constant(0)
