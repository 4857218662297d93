"""A small network for small images: five 3x3 convolutions, 79,626 parameters on 32x32 RGB with 10 classes.

A smaller version of Keras' examples/cifar10_cnn.py (github.com/keras-team/keras, 2.x), which has pairs of 3x3
convolutions with ReLU and a 2x2 max-pool, then two fully connected layers.
"""

from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from vidjax.models.layers import check_video, conv, max_pool, mean_over_time, no_padding, pool_space, scaled

STAGES = ((32, 32), (32,), (64, 64))  # channels of the convolutions before each pool
glorot = nn.initializers.glorot_uniform()  # Keras' default


class SmallCNN(nn.Module):
    """Five convolutions without padding, three pools and two fully connected layers, on each frame separately.

    Attributes:
        num_classes: number of classes; 0 or None for no classifier.
        width: multiplies the channels of every layer.
        dropout: dropout rate after each pool and before the classifier, in training.
        dtype: dtype of the computation; parameters are float32.
    """

    num_classes: int | None = None
    width: float = 1.0
    dropout: float = 0.0
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, video, *, frame_mask=None, train=False):
        """Classify clips by the mean of the logits of their frames; an image is a clip of one frame.

        Args:
            video: (B, T, H, W, C), normalised float, H and W at least 32.
            frame_mask: (B, T), boolean or 0 and 1; frames with 0 are ignored.
            train: whether to use dropout.

        Returns:
            Logits (B, num_classes); without a classifier, the features. Endpoints: "pool1" to "pool3" and "features",
            (B, T, 64 * width).

        Raises:
            ValueError: if the input is not a video, frames are too small, or the number of channels is wrong.
        """
        check_video(video, 32, first=self.get_variable("params", "conv1"))
        convolve = partial(conv, padding=no_padding, dims=2, use_bias=True, kernel_init=glorot, dtype=self.dtype)
        dense = partial(nn.Dense, kernel_init=glorot, dtype=self.dtype)
        dropout = partial(nn.Dropout, self.dropout, deterministic=not train)
        ends, number = {}, 0
        x = video.astype(self.dtype)
        for i, stage in enumerate(STAGES, 1):
            for channels in stage:
                number += 1
                x = nn.relu(convolve(x, scaled(channels, self.width), (3, 3, 3), name=f"conv{number}"))
            x = ends[f"pool{i}"] = max_pool(x, (1, 2, 2), (1, 2, 2), padding=no_padding)
            x = dropout()(x)  # at 32x32: (B, T, 14, 14, 32), (B, T, 6, 6, 32), (B, T, 1, 1, 64)
        x = pool_space(x)  # (B, T, 64); larger frames leave more than one pixel to average
        x = ends["features"] = nn.relu(dense(scaled(64, self.width), name="fc1")(x))  # (B, T, 64)
        if not self.num_classes:
            return x, ends
        x = dense(self.num_classes, name="fc2")(dropout()(x))  # (B, T, num_classes)
        return mean_over_time(x, frame_mask), ends  # (B, num_classes)
