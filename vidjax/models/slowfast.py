"""SlowFast: a wide network on few frames, and a narrow one on many, which feeds it.

Feichtenhofer et al., "SlowFast Networks for Video Recognition" (ICCV 2019), https://arxiv.org/abs/1812.03982, as in
pytorchvideo. Both are the ResNets of `resnet.py` without strides in time; the slow one alone is `resnet.SlowOnly50`.
"""

from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from vidjax.models.layers import (
    MeanOverTime,
    check_video,
    conv,
    mask_of_steps,
    max_pool,
    mean_over_time,
    pool_space,
    scaled,
    torch_same,
    without_masked,
)
from vidjax.models.resnet import Bottleneck, convolutions, he_fan_out

KINDS = {"slow": ("space", "space", "time", "time"), "fast": ("time",) * 4}  # of the stages, see `resnet.convolutions`
STEMS = {"slow": (1, 7, 7), "fast": (5, 7, 7)}
linear = nn.initializers.normal(0.01)


def mean_of_windows(x, size: int, frame_mask=None):
    """Average over the valid frames of each window: (B, T, D), frame_mask (B, T) -> (B, ceil(T / size), D)."""
    batch, frames, dim = x.shape
    missing = -frames % size
    if missing and frame_mask is None:
        frame_mask = jnp.ones((batch, frames), bool)
    x = jnp.pad(x, ((0, 0), (0, missing), (0, 0))).reshape(-1, size, dim)
    if frame_mask is not None:
        frame_mask = jnp.pad(frame_mask, ((0, 0), (0, missing))).reshape(-1, size)
    return mean_over_time(x, frame_mask).reshape(batch, -1, dim)


class SlowFast(nn.Module):
    """SlowFast 8x8 on ResNet-50; or use `SlowFast50_4x16`, `SlowFast101_8x8`.

    The fast pathway sees every frame of a clip, the slow one every `alpha`-th, from the first on. (pytorchvideo's
    transform rounds that many places between the first and the last frame; MMAction2 takes every `alpha`-th.) 8x8 is
    published for 32 frames at a stride of 2: 8 slow frames at a stride of 8. Each block starts as the identity.

    Attributes:
        num_classes: number of classes; 0 or None for no classifier.
        stage_sizes: blocks per stage.
        alpha: frames of the fast pathway per frame of the slow one.
        beta: channels of the fast pathway, relative to the slow one.
        fusion_kernel: kernel in time of the convolutions from the fast to the slow pathway.
        width: multiplies the channels of every layer; 1 is the published network.
        dropout: dropout rate of the features before the classifier, in training.
        batch_norm_momentum: how much of the running statistics a step keeps (1 minus torch's `momentum`).
        block: the blocks; `make_model(remat=True)` replaces them.
        dtype: dtype of the computation; parameters are float32.
    """

    num_classes: int | None = None
    stage_sizes: tuple[int, ...] = (3, 4, 6, 3)
    alpha: int = 4
    beta: float = 0.125
    fusion_kernel: int = 7
    width: float = 1.0
    dropout: float = 0.5
    batch_norm_momentum: float = 0.9
    block: type = Bottleneck
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, video, *, frame_mask=None, train=False):
        """Classify clips by the mean of the logits of their slow steps.

        Args:
            video: (B, T, H, W, C), normalised float, H and W at least 32.
            frame_mask: (B, T), boolean or 0 and 1; frames with 0 are set to zero, and a step is valid if one of its
                `alpha` frames is. (BatchNorm's batch statistics in training still include them.)
            train: whether to use batch statistics and dropout.

        Returns:
            Logits (B, num_classes); without a classifier, the features. Endpoints: "slow_stem", "fast_stem",
            "slow_layer1" to "fast_layer4" (B, T', H', W', C'), with T' = ceil(T / alpha) steps in the slow pathway, and
            "features" (B, ceil(T / alpha), 2048 + 256): the means over space, and over the frames of a slow step.

        Raises:
            ValueError: if the input is not a video, frames are too small, or the number of channels is wrong.
        """
        check_video(video, min_size=32, first=self.get_variable("params", "slow_conv1"))
        norm = partial(
            nn.BatchNorm,
            use_running_average=not train,
            momentum=self.batch_norm_momentum,
            epsilon=1e-5,
            dtype=self.dtype,
        )
        convolve = partial(conv, padding=torch_same, kernel_init=he_fan_out, dtype=self.dtype)
        ends, widths = {}, {"slow": self.width, "fast": self.width * self.beta}
        video = without_masked(video.astype(self.dtype), frame_mask)
        paths = {"slow": video[:, :: self.alpha], "fast": video}

        def keep_and_join(layer: str):
            """Keep both pathways, and feed the fast one to the slow one: adds 2 beta of its channels."""
            ends.update({f"{path}_{layer}": x for path, x in paths.items()})
            fast, name = paths["fast"], f"{layer}_to_slow"
            kernel, strides = (self.fusion_kernel, 1, 1), (self.alpha, 1, 1)
            x = convolve(fast, 2 * fast.shape[-1], kernel, strides, name=name)  # (B, T / alpha, H', W', 2 C')
            x = nn.relu(norm(name=f"{name}_bn")(x))
            paths["slow"] = jnp.concatenate([paths["slow"], x], -1)

        for path, x in paths.items():
            x = convolve(x, scaled(64, widths[path]), STEMS[path], (1, 2, 2), name=f"{path}_conv1")
            x = nn.relu(norm(name=f"{path}_bn1")(x))  # (B, T', H/2, W/2, 64 or 8)
            paths[path] = max_pool(x, (1, 3, 3), (1, 2, 2), padding=torch_same)  # (B, T', H/4, W/4, 64 or 8)
        for stage, size in enumerate(self.stage_sizes):
            keep_and_join(f"layer{stage}" if stage else "stem")
            for path, x in paths.items():
                channels = scaled(64 * 2**stage, widths[path])
                for i in range(size):
                    of_block = convolutions(KINDS[path][stage], x.shape[-1], channels, conv=convolve, norm=norm)
                    stride = 2 if stage > 0 and i == 0 else 1
                    x = self.block(channels, stride, of_block, norm, True, name=f"{path}_layer{stage + 1}_{i}")(x)
                paths[path] = x  # (B, T', H/4, W/4, 256 or 32) to (B, T', H/32, W/32, 2048 or 256)
        ends.update({f"{path}_layer4": x for path, x in paths.items()})
        fast = mean_of_windows(pool_space(paths["fast"]), self.alpha, frame_mask)
        x = ends["features"] = jnp.concatenate([pool_space(paths["slow"]), fast], -1)  # (B, T / alpha, 2048 + 256)
        if not self.num_classes:
            return x, ends
        x = MeanOverTime(name="mean")(x, mask_of_steps(frame_mask, self.alpha))  # (B, 2048 + 256)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(self.num_classes, kernel_init=linear, dtype=self.dtype, name="fc")(x), ends


SlowFast50_4x16 = partial(SlowFast, alpha=8, fusion_kernel=5)
SlowFast101_8x8 = partial(SlowFast, stage_sizes=(3, 4, 23, 3), fusion_kernel=5)
