"""TSM: a 2-D network whose residual branches see some channels of the frames before and after.

Lin et al., "TSM: Temporal Shift Module for Efficient Video Understanding" (ICCV 2019),
https://arxiv.org/abs/1811.08383, as in the authors' code with `shift_place="blockres"` and `shift_div=8`. The shift has
no parameters and no multiply-adds: `TSM` has the variables of its backbone, and starts from any weights of it.
"""

import jax.numpy as jnp
from flax import linen as nn

from vidjax.models.layers import without_masked
from vidjax.models.resnet import BasicBlock, Bottleneck, ResNet


class Shift(nn.Module):
    """Moves a share of the channels by one frame; zeros enter at the ends of a clip.

    Lin et al., section 3: the first channels come from the next frame, as many others from the previous one. Online,
    the first channels come from the previous frame, and no frame sees a later one (section 3.3).

    Attributes:
        share: share of the channels that move in each direction, rounded down.
        online: move channels only towards later frames.
    """

    share: float
    online: bool

    def number(self, channels: int) -> int:
        """Return how many channels move in each direction."""
        return int(channels * self.share)

    def __call__(self, x, frame_mask=None):
        """(B, T, H, W, C), frame_mask (B, T) -> (B, T, H, W, C). Masked frames move zeros."""
        n = self.number(x.shape[-1])
        if not n:
            return x
        moved, still = jnp.split(x, [n if self.online else 2 * n], -1)
        moved = without_masked(moved, frame_mask)
        none = jnp.zeros_like(x[:, :1, ..., :n])
        later = jnp.concatenate([none, moved[:, :-1, ..., -n:]], 1)
        if self.online:
            return jnp.concatenate([later, still], -1)
        earlier = jnp.concatenate([moved[:, 1:, ..., :n], none], 1)
        return jnp.concatenate([earlier, later, still], -1)


class TSM(nn.Module):
    """A 2-D ResNet with a `Shift` before the first convolution of each residual branch.

    (The authors shift in every second block of ResNet-101.)

    Attributes:
        num_classes: number of classes; 0 or None for no classifier.
        backbone: a 2-D `ResNet`.
        share: share of the channels that move in each direction; 0 for the backbone itself.
        online: see only earlier frames: for streams, see `stateful.Stateful`.
        dtype: dtype of the computation; parameters are float32.

    Raises:
        ValueError: on construction, for another backbone, or a share outside 0 to 1/2.
    """

    num_classes: int | None = None
    backbone: nn.Module | None = None
    share: float = 0.125
    online: bool = False
    dtype: jnp.dtype = jnp.float32

    def __post_init__(self):
        if not isinstance(self.backbone, ResNet) or set(self.backbone.kinds) != {"2d"}:
            raise ValueError("TSM shifts channels inside a 2-D ResNet: set model.backbone to resnet18, 34 or 50.")
        if not 0 <= self.share <= 0.5:
            raise ValueError(f"share={self.share} must be from 0 to 0.5: the share of channels per direction.")
        if self.backbone.num_classes != self.num_classes:
            self.backbone = self.backbone.clone(num_classes=self.num_classes)
        super().__post_init__()

    def setup(self):
        nn.share_scope(self, self.backbone)

    def __call__(self, video, *, frame_mask=None, train=False):
        """Classify clips by the mean of the logits of their frames; see `ResNet`."""

        def shift(next_function, arguments, settings, context):
            layer = context.module
            is_first = layer.name == "conv1" and isinstance(layer.parent, BasicBlock | Bottleneck)
            if context.method_name != "__call__" or not isinstance(layer, nn.Conv) or not is_first:
                return next_function(*arguments, **settings)
            x = Shift(self.share, self.online, parent=layer.parent, name="shift")(arguments[0], frame_mask)
            return next_function(x, **settings)

        with nn.intercept_methods(shift):
            return self.backbone(video, frame_mask=frame_mask, train=train)
