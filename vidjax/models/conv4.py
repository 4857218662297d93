"""Four 3x3 convolutions on each frame separately, the network of most papers on few-shot learning of images.

Vinyals et al., "Matching Networks for One Shot Learning" (NeurIPS 2016), section 4.1; Snell et al., "Prototypical
Networks for Few-shot Learning" (NeurIPS 2017), whose code, github.com/jakesnell/prototypical-networks, has the same
layers. 111,936 parameters on one channel; 64 features from frames of 28x28, 1600 from 84x84. Modules are `conv1` to
`conv4` and `norm1` to `norm4`. The authors flatten (C, H, W), this network (H, W, C).
"""

from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from vidjax.models.layers import check_video, conv, max_pool, mean_over_time, no_padding, scaled, torch_same


class Conv4(nn.Module):
    """Four times a 3x3 convolution with bias, BatchNorm, ReLU and a 2x2 max-pool.

    Attributes:
        num_classes: number of classes; 0 or None for no classifier.
        width: multiplies the 64 channels of every layer.
        grey: average the colours first, as for Omniglot.
        dtype: dtype of the computation; parameters are float32.
    """

    num_classes: int | None = None
    width: float = 1.0
    grey: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, video, *, frame_mask=None, train=False):
        """Classify clips by the mean of the logits of their frames; an image is a clip of one frame.

        Args:
            video: (B, T, H, W, C), normalised float, H and W at least 16.
            frame_mask: (B, T), boolean or 0 and 1; the mean ignores frames with 0. (BatchNorm's batch statistics in
                training still include them.)
            train: whether to use batch statistics.

        Returns:
            Logits (B, num_classes); without a classifier, the features. Endpoints: "pool1" to "pool4" and "features",
            (B, T, H/16 * W/16 * 64 * width), rounded down.

        Raises:
            ValueError: if the input is not a video, frames are too small, or the number of channels is wrong.
        """
        check_video(video, 16, first=None if self.grey else self.get_variable("params", "conv1"))
        convolve = partial(conv, padding=torch_same, dims=2, use_bias=True, dtype=self.dtype)
        norm = partial(nn.BatchNorm, not train, momentum=0.9, epsilon=1e-5, dtype=self.dtype)
        ends = {}
        x = video.astype(self.dtype)
        if self.grey:
            x = x.mean(-1, keepdims=True)  # (B, T, H, W, 1)
        for i in range(1, 5):
            x = convolve(x, scaled(64, self.width), (3, 3, 3), name=f"conv{i}")
            x = nn.relu(norm(name=f"norm{i}")(x))
            x = ends[f"pool{i}"] = max_pool(x, (1, 2, 2), (1, 2, 2), padding=no_padding)
        x = ends["features"] = x.reshape(*x.shape[:2], -1)  # (B, T, 64) from frames of 28x28
        if not self.num_classes:
            return x, ends
        x = nn.Dense(self.num_classes, dtype=self.dtype, name="fc")(x)  # (B, T, num_classes)
        return mean_over_time(x, frame_mask), ends  # (B, num_classes)
