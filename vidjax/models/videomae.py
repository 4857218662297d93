"""VideoMAE's video transformer: tokens of 2x16x16 pixels, joint attention over space and time.

Tong et al., "VideoMAE: Masked Autoencoders are Data-Efficient Learners for Self-Supervised Video Pre-Training" (NeurIPS
2022), https://arxiv.org/abs/2203.12602, as in the authors' code (github.com/MCG-NJU/VideoMAE) and in transformers'
VideoMAEForVideoClassification.
"""

from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from vidjax.models.attention import Block, Patches, drop_path_rates, mask_of_tokens, normal, sinusoids
from vidjax.models.layers import MeanOverTime, check_video, mask_of_steps, without_masked


class Encoder(nn.Module):
    """Patches with fixed sinusoidal positions, then blocks, on all tokens or on the visible ones.

    Attributes: see `VideoMAE`.
    """

    dim: int
    depth: int
    num_heads: int
    patch: tuple[int, int, int]
    mlp_ratio: float
    drop_path: float
    block: type
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, video, *, visible=None, frame_mask=None, train=False):
        """Encodes a video.

        Args:
            video: (B, T, H, W, C), normalised float.
            visible: int (B, K), the tokens to keep, as places among all N = T' H' W' tokens; None keeps all.
            frame_mask: (B, T), boolean or 0 and 1; tokens without a valid frame are not seen.

        Returns:
            The outputs of each block, a list of (B, N or K, D), and the grid of tokens (T', H', W').
        """
        x = Patches(self.dim, self.patch, dtype=self.dtype, name="patches")(without_masked(video, frame_mask))
        grid = x.shape[1:4]
        x = x.reshape(x.shape[0], -1, self.dim)  # (B, N, D)
        x = x + jnp.asarray(sinusoids(x.shape[1], self.dim), self.dtype)
        mask = mask_of_steps(frame_mask, self.patch[0])  # (B, T' or T' + 1)
        mask = None if mask is None else jnp.repeat(mask[:, : grid[0]], grid[1] * grid[2], axis=1)  # (B, N)
        if visible is not None:
            x = jnp.take_along_axis(x, visible[..., None], axis=1)  # (B, K, D)
            mask = None if mask is None else jnp.take_along_axis(mask, visible, axis=1)
        settings = {"epsilon": 1e-12, "biases": ("query", "value", "out"), "dtype": self.dtype}
        outputs, mask = [], mask_of_tokens(mask)
        for i, rate in enumerate(drop_path_rates(self.drop_path, self.depth)):
            x = self.block(self.num_heads, self.mlp_ratio, rate, **settings, name=f"block{i}")(x, mask, train)
            outputs.append(x)
        return outputs, grid


class VideoMAE(nn.Module):
    """The classifier: the mean over all tokens, a norm and a linear layer. Or use `VideoMAES` or `VideoMAEL`.

    Attributes:
        num_classes: number of classes; 0 or None for no classifier.
        dim: width of the tokens, D.
        depth: number of blocks.
        num_heads, mlp_ratio: see `attention.Block`.
        patch: frames, height and width of a token.
        drop_path: share of dropped branches in the last block, in training; it grows linearly from 0 in the first.
        dropout: dropout rate of the features before the classifier, in training.
        block: the blocks; `make_model(remat=True)` replaces them.
        dtype: dtype of the computation; parameters are float32.
    """

    num_classes: int | None = None
    dim: int = 768
    depth: int = 12
    num_heads: int = 12
    patch: tuple[int, int, int] = (2, 16, 16)
    mlp_ratio: float = 4.0
    drop_path: float = 0.0
    dropout: float = 0.0
    block: type = Block
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, video, *, frame_mask=None, train=False):
        """Classifies clips.

        Args:
            video: (B, T, H, W, C), normalised float; H and W are multiples of the patch, T is rounded down to one.
            frame_mask: (B, T), boolean or 0 and 1; tokens without a valid frame are not seen, and do not count.
            train: whether to use dropout and drop path.

        Returns:
            Logits (B, num_classes); without a classifier, the features. Endpoints: "block0", ... (B, T', H', W', D),
            and "features" (B, T', D), the mean of the last of them over space.

        Raises:
            ValueError: if the input is not a video, the patches do not fit it, or its channels do not.
        """
        params = self.get_variable("params", "encoder")
        check_video(video, min_size=1, first=params and params["patches"])
        sizes = self.dim, self.depth, self.num_heads, self.patch, self.mlp_ratio, self.drop_path
        encoder = Encoder(*sizes, self.block, self.dtype, name="encoder")
        outputs, grid = encoder(video, frame_mask=frame_mask, train=train)
        ends = {f"block{i}": x.reshape(x.shape[0], *grid, self.dim) for i, x in enumerate(outputs)}
        x = ends["features"] = ends[f"block{self.depth - 1}"].mean((2, 3))  # (B, T', D)
        if not self.num_classes:
            return x, ends
        mask = mask_of_steps(frame_mask, self.patch[0])
        x = MeanOverTime(name="mean")(x, None if mask is None else mask[:, : grid[0]])  # (B, D)
        x = nn.LayerNorm(epsilon=1e-5, dtype=self.dtype, name="norm")(x)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(self.num_classes, kernel_init=normal, dtype=self.dtype, name="classifier")(x), ends


VideoMAES = partial(VideoMAE, dim=384, num_heads=6)
VideoMAEL = partial(VideoMAE, dim=1024, depth=24, num_heads=16)
