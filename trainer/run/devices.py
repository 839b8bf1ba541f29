"""What a run computes on: number format, and one device or several."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import keras

from trainer.recipe.recipe import Recipe


def accelerators() -> int:
    """How many GPUs or TPUs Keras' backend sees; 0 on a CPU."""
    if keras.backend.backend() == "torch":
        import torch  # noqa: PLC0415 - only where it is the backend

        return int(torch.cuda.device_count())
    return sum(not name.startswith("cpu") for name in keras.distribution.list_devices())


def chosen_precision(recipe: Recipe) -> str:
    """A Keras dtype policy: what was asked, or by `auto` bfloat16 where there is an accelerator.

    bfloat16 has float32's range, so losses need no scaling. GPUs before NVIDIA's Ampere are
    better served by mixed_float16. An OSNet takes the variance of pixels, for which both have too
    few digits.
    """
    if recipe.precision != "auto":
        return recipe.precision
    if recipe.backbone == "osnet":
        return "float32"
    return "mixed_bfloat16" if accelerators() else "float32"


@contextmanager
def computing_in(policy: str) -> Iterator[None]:
    """Let the layers made in the block compute in `policy`; their weights stay float32."""
    usual = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.mixed_precision.set_dtype_policy(usual)


def data_parallel(batch: int) -> keras.distribution.DataParallel | None:
    """Every batch shared out to all devices of this machine; None where that cannot be.

    Keras does it with JAX alone (its TensorFlow side is a prototype, PyTorch has none). Losses
    still see the whole batch, so the result is that of one device.

    Args:
        batch: pictures in a batch, which must divide by the number of devices.
    """
    if keras.backend.backend() != "jax":
        if (seen := accelerators()) > 1:
            print(f"using 1 of {seen} devices: KERAS_BACKEND=jax trains on all of them")
        return None
    devices = keras.distribution.list_devices()
    if len(devices) == 1:
        return None
    if batch % len(devices):
        print(
            f"using 1 of {len(devices)} devices: a batch of {batch} pictures does not divide by "
            f"{len(devices)}; change identities_per_batch or images_per_identity"
        )
        return None
    print(f"training on {len(devices)} devices")
    return keras.distribution.DataParallel(devices=devices)


@contextmanager
def on_one_device() -> Iterator[None]:
    """Share nothing out in the block."""
    shared = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(shared)


def shared_out(batch: int) -> AbstractContextManager[None]:
    """`data_parallel` as a context in which network and optimizer are made and trained."""
    spread = data_parallel(batch)
    return nullcontext() if spread is None else spread.scope()
