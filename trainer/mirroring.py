"""A network that looks at every picture twice: as it is, and in the mirror."""

from __future__ import annotations

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("edge_reid")
class WithMirrorImages(layers.Layer):  # type: ignore[misc]
    """Images (B, H, W, 3) → (2B, H, W, 3): all of them, then their mirror images."""

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        return ops.concatenate([x, ops.flip(x, axis=2)], axis=0)


@keras.saving.register_keras_serializable("edge_reid")
class MeanOfMirrorImages(layers.Layer):  # type: ignore[misc]
    """What `WithMirrorImages` made of the network's rows: (2B, D) → (B, D)."""

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        return ops.mean(ops.reshape(x, (2, -1, x.shape[-1])), axis=0)


def mirrored(network: keras.Model) -> keras.Model:
    """The same network, (B, H, W, 3) → (B, D), giving the mean of a picture and its mirror image.

    It shares all weights and takes twice the time. (Wang et al., "MGN", ACM Multimedia 2018,
    test their network so.)
    """
    image = keras.Input(network.input_shape[1:])
    return keras.Model(image, MeanOfMirrorImages()(network(WithMirrorImages()(image))))
