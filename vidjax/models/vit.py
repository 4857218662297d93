"""The Vision Transformer on each frame: tokens of 16x16 pixels, a class token, blocks of attention and MLP.

Dosovitskiy et al., "An Image Is Worth 16x16 Words: Transformers for Image Recognition at Scale" (ICLR 2021),
https://arxiv.org/abs/2010.11929, as in torchvision's vit_b_16.
"""

from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from vidjax.models.attention import Block, Patches, Positions, drop_path_rates, normal
from vidjax.models.layers import MeanOverTime, check_video


class ViT(nn.Module):
    """A ViT-B/16 by default, on each frame by itself. Or use `ViTS` or `ViTL`.

    Attributes:
        num_classes: number of classes; 0 or None for no classifier.
        dim: width of the tokens, D.
        depth: number of blocks.
        num_heads, mlp_ratio: see `attention.Block`.
        patch: height and width of a token.
        positions: rows and columns of the table of positions; it is resized to frames of another size (bicubic).
        drop_path: share of dropped branches in the last block, in training; it grows linearly from 0 in the first.
        dropout: dropout rate of the features before the classifier, in training.
        block: the blocks; `make_model(remat=True)` replaces them.
        dtype: dtype of the computation; parameters are float32.
    """

    num_classes: int | None = None
    dim: int = 768
    depth: int = 12
    num_heads: int = 12
    patch: tuple[int, int] = (16, 16)
    positions: tuple[int, int] = (14, 14)
    mlp_ratio: float = 4.0
    drop_path: float = 0.0
    dropout: float = 0.0
    block: type = Block
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, video, *, frame_mask=None, train=False):
        """Classifies clips by the mean of the logits of their frames; an image is a clip of one frame.

        Args:
            video: (B, T, H, W, C), normalised float; H and W are multiples of the patch.
            frame_mask: (B, T), boolean or 0 and 1; the mean ignores frames with 0.
            train: whether to use dropout and drop path.

        Returns:
            Logits (B, num_classes); without a classifier, the features. Endpoints: "block0", ... (B, T, H', W', D), and
            "features" (B, T, D), the class token of each frame after the last norm.

        Raises:
            ValueError: if the input is not a video, the patches do not fit it, or its channels do not.
        """
        check_video(video, min_size=1, first=self.get_variable("params", "patches"))
        x = Patches(self.dim, self.patch, dtype=self.dtype, name="patches")(video)  # (B, T, H', W', D)
        grid, ends = x.shape[:4], {}
        x = x.reshape(-1, *x.shape[2:])  # (B T, H', W', D)
        x = Positions(self.positions, "cubic", self.dtype, name="positions")(x)  # (B T, 1 + N, D)
        for i, rate in enumerate(drop_path_rates(self.drop_path, self.depth)):
            block = self.block(self.num_heads, self.mlp_ratio, rate, dtype=self.dtype, name=f"block{i}")
            x = block(x, None, train)
            ends[f"block{i}"] = x[:, 1:].reshape(*grid, self.dim)  # (B, T, H', W', D)
        x = nn.LayerNorm(epsilon=1e-6, dtype=self.dtype, name="norm")(x[:, 0])
        x = ends["features"] = x.reshape(*grid[:2], self.dim)  # (B, T, D)
        if not self.num_classes:
            return x, ends
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        x = nn.Dense(self.num_classes, kernel_init=normal, dtype=self.dtype, name="classifier")(x)
        return MeanOverTime(name="mean")(x, frame_mask), ends  # (B, num_classes)


ViTS = partial(ViT, dim=384, num_heads=6)
ViTL = partial(ViT, dim=1024, depth=24, num_heads=16)
