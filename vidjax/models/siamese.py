"""Koch's siamese network: one network embeds two images, a weighted L1 distance tells whether they are of one class.

Koch, Zemel and Salakhutdinov, "Siamese Neural Networks for One-shot Image Recognition" (ICML Deep Learning Workshop
2015), figure 4: 38,951,745 parameters on grey frames of 105x105. Modules are `conv1` to `conv4`, `fc` and `distance`.

The paper draws kernels from N(0, 0.01^2), that of `fc` from N(0, 0.2^2), and biases from N(0.5, 0.01^2). That saturates
68 % of the sigmoid units on drawings of Omniglot, so kernels are drawn by their fan-in here, and biases are 0.
"""

from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from vidjax.models.layers import check_video, conv, max_pool, mean_over_time, no_padding, scaled

LAYERS = ((64, 10), (128, 7), (128, 4), (256, 4))  # channels and kernel size of the convolutions


class Siamese(nn.Module):
    """Four convolutions with ReLU, three max-pools, and a layer of sigmoid units, which is the embedding.

    Attributes:
        num_classes: classes of a linear classifier on the embedding; 0 or None to compare pairs, as in the paper.
        width: multiplies the channels of every layer.
        dtype: dtype of the computation; parameters are float32.
    """

    num_classes: int | None = None
    width: float = 1.0
    dtype: jnp.dtype = jnp.float32

    def setup(self):
        if not self.num_classes:
            self.distance = nn.Dense(1, dtype=self.dtype)

    @nn.compact
    def __call__(self, video, *, frame_mask=None, train=False):
        """Embed clips by the mean of the embeddings of their frames; an image is a clip of one frame.

        Args:
            video: (B, T, H, W, C), normalised float, H and W at least 65; colours are averaged. The parameters fit one
                size of frames.
            frame_mask: (B, T), boolean or 0 and 1; frames with 0 are ignored.
            train: whether to compare all clips of the batch with each other.

        Returns:
            Embeddings (B, 4096 * width), in 0..1; in training, the logits of "same class" of all pairs, (B, B), for the
            loss "siamese". With a classifier, its logits (B, num_classes). Endpoints: "pool1" to "pool3", "features"
            (B, T, 4096 * width) and "embedding".

        Raises:
            ValueError: if the input is not a video, or frames are too small.
        """
        check_video(video, 65)
        convolve = partial(conv, padding=no_padding, dims=2, use_bias=True, dtype=self.dtype)
        ends = {}
        x = video.astype(self.dtype).mean(-1, keepdims=True)  # (B, T, H, W, 1)
        for i, (channels, size) in enumerate(LAYERS, 1):
            x = nn.relu(convolve(x, scaled(channels, self.width), (1, size, size), name=f"conv{i}"))
            if i < len(LAYERS):
                x = ends[f"pool{i}"] = max_pool(x, (1, 2, 2), (1, 2, 2), padding=no_padding)
        x = x.reshape(*x.shape[:2], -1)  # (B, T, 9216) from frames of 105x105
        x = ends["features"] = nn.sigmoid(nn.Dense(scaled(4096, self.width), dtype=self.dtype, name="fc")(x))
        x = ends["embedding"] = mean_over_time(x, frame_mask)  # (B, 4096)
        if self.num_classes:
            return nn.Dense(self.num_classes, dtype=self.dtype, name="classifier")(x), ends
        if train or self.is_initializing():
            return self.compare(x, x), ends
        return x, ends

    def compare(self, a, b):
        """Return the logits of "same class" of all pairs: embeddings (A, D), (B, D) -> (A, B)."""
        return self.distance(jnp.abs(a[:, None] - b[None]))[..., 0]
