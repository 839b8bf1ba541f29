"""A network that looks at every picture twice: as it is, and in the mirror."""

from __future__ import annotations

import keras
from keras import ops


def mirrored(network: keras.Model) -> keras.Model:
    """The same network, (B, H, W, 3) → (B, D), giving the mean of a picture and its mirror image.

    It shares all weights and takes twice the time. (Wang et al., "MGN", ACM Multimedia 2018,
    test their network so.)
    """
    image = keras.Input(network.input_shape[1:])
    rows = network(ops.concatenate([image, ops.flip(image, axis=2)], axis=0))
    return keras.Model(image, ops.mean(ops.reshape(rows, (2, -1, rows.shape[-1])), axis=0))
