"""ViViT: joint attention over tubelets, or a transformer per time step followed by one over time.

Arnab et al., "ViViT: A Video Vision Transformer" (ICCV 2021), https://arxiv.org/abs/2103.15691: model 1 (joint) and
model 2 (factorised encoder), section 3.3. Model 1 is transformers' VivitForVideoClassification.
"""

from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from vidjax.models.attention import Block, Patches, Positions, drop_path_rates, mask_of_tokens, normal
from vidjax.models.layers import check_video, mask_of_steps, without_masked

gelu = partial(nn.gelu, approximate=True)  # as in the authors' code


class ViViT(nn.Module):
    """ViViT-B/16x2, model 1, by default; with `time_depth`, model 2.

    Model 2 classifies each time step with a transformer in space, whose class tokens a second transformer sees.

    Attributes:
        num_classes: number of classes; 0 or None for no classifier.
        dim: width of the tokens, D.
        depth: number of blocks, of the transformer in space for model 2.
        time_depth: number of blocks of the transformer over time; 0 for model 1. The paper has 4.
        num_heads, mlp_ratio: see `attention.Block`.
        patch: frames, height and width of a tubelet.
        positions: the grid of the table of positions; it is resized to videos of another size (bicubic, over time too).
        drop_path: share of dropped branches in the last block, in training; it grows linearly from 0 in the first.
        dropout: dropout rate of the features before the classifier, in training.
        block: the blocks; `make_model(remat=True)` replaces them.
        dtype: dtype of the computation; parameters are float32.
    """

    num_classes: int | None = None
    dim: int = 768
    depth: int = 12
    time_depth: int = 0
    num_heads: int = 12
    patch: tuple[int, int, int] = (2, 16, 16)
    positions: tuple[int, int, int] = (16, 14, 14)
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
            frame_mask: (B, T), boolean or 0 and 1; tubelets without a valid frame are not seen.
            train: whether to use dropout and drop path.

        Returns:
            Logits (B, num_classes); without a classifier, the features. Endpoints: "block0", ... (B, T', H', W', D),
            for model 2 also "time_block0", ... (B, 1 + T', D), and "features" (B, 1, D), the class token.

        Raises:
            ValueError: if the input is not a video, the patches do not fit it, or its channels do not.
        """
        check_video(video, min_size=1, first=self.get_variable("params", "patches"))
        video = without_masked(video, frame_mask)
        x = Patches(self.dim, self.patch, dtype=self.dtype, name="patches")(video)  # (B, T', H', W', D)
        (batch, steps, *size), ends = x.shape[:4], {}
        mask = mask_of_steps(frame_mask, self.patch[0])  # (B, T' or T' + 1)
        mask = None if mask is None else mask[:, :steps]
        rates = drop_path_rates(self.drop_path, self.depth + self.time_depth)

        def with_class_token(mask):
            """(B, N) -> (B, 1 + N)."""
            return None if mask is None else jnp.pad(mask, ((0, 0), (1, 0)), constant_values=1)

        def transform(x, mask, rates, name):
            """(B, 1 + N, D) -> (B, 1 + N, D), and the outputs of each block."""
            outputs, settings = [], {"activation": gelu, "dtype": self.dtype}
            for i, rate in enumerate(rates):
                x = self.block(self.num_heads, self.mlp_ratio, rate, **settings, name=f"{name}{i}")(x, mask, train)
                outputs.append(x)
            return x, {f"{name}{i}": x for i, x in enumerate(outputs)}

        norm = partial(nn.LayerNorm, epsilon=1e-6, dtype=self.dtype)
        positions = partial(Positions, method="cubic", dtype=self.dtype)
        if self.time_depth:
            x = positions(self.positions[1:], name="positions")(x.reshape(-1, *size, self.dim))  # (B T', 1 + N, D)
            x, outputs = transform(x, None, rates[: self.depth], "block")
            x = norm(name="space_norm")(x[:, 0]).reshape(batch, steps, self.dim)
            x = positions(self.positions[:1], name="time_positions")(x)  # (B, 1 + T', D)
            seen = mask_of_tokens(with_class_token(mask))
            x, of_time = transform(x, seen, rates[self.depth :], "time_block")
            ends |= of_time
        else:
            x = positions(self.positions, name="positions")(x)  # (B, 1 + N, D)
            seen = None if mask is None else jnp.repeat(mask, size[0] * size[1], axis=1)
            x, outputs = transform(x, mask_of_tokens(with_class_token(seen)), rates, "block")
        ends |= {name: x[:, 1:].reshape(batch, steps, *size, self.dim) for name, x in outputs.items()}
        x = norm(name="norm")(x[:, 0])  # (B, D)
        ends["features"] = x[:, None]
        if not self.num_classes:
            return ends["features"], ends
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(self.num_classes, kernel_init=normal, dtype=self.dtype, name="classifier")(x), ends


ViViTFactorised = partial(ViViT, time_depth=4)
