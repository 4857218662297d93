"""MS-TCN labels every frame: dilated convolutions over frame features, then stages that refine the predictions.

Farha and Gall, "MS-TCN: Multi-Stage Temporal Convolutional Network for Action Segmentation" (CVPR 2019),
https://arxiv.org/abs/1903.01945, as in the authors' code (github.com/yabufarha/ms-tcn, model.py). Train it with
the loss `segmentation`.

Masked frames are zero at the input of every convolution, like the padding before and after a sequence. So a sequence
has the same outputs in a padded batch as alone. (In the authors' code the first layer of a stage sees the bias of the
1x1 convolution at masked frames. They train with batches of one video, where there are none.)
"""

import jax.numpy as jnp
from flax import linen as nn

from vidjax.models.frame_pool import frame_features
from vidjax.models.recurrent import check_sequence
from vidjax.models.tcn import masked, padding


class DilatedResidualLayer(nn.Module):
    """Dilated convolution of size 3, ReLU, 1x1 convolution, dropout; the input is added.

    Attributes: see `MSTCN`.
    """

    dilation: int
    dropout: float = 0.5
    causal: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, frame_mask=None, train=False):
        """(B, T, D), frame_mask (B, T) -> (B, T, D); masked frames are zero. Masked frames of x must be zero."""
        pads = [padding(3, self.dilation, self.causal)]
        arguments = {"kernel_dilation": self.dilation, "padding": pads, "dtype": self.dtype, "name": "dilated"}
        y = nn.relu(nn.Conv(x.shape[-1], (3,), **arguments)(x))
        y = nn.Dense(x.shape[-1], dtype=self.dtype, name="pointwise")(y)
        y = nn.Dropout(self.dropout, deterministic=not train)(y)
        return masked(x + y, frame_mask)


class Stage(nn.Module):
    """A 1x1 convolution to `channels`, layers whose dilation doubles from 1, and a classifier.

    Attributes: see `MSTCN`.
    """

    num_classes: int | None
    num_layers: int
    channels: int
    dropout: float
    causal: bool
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, frame_mask=None, train=False):
        """(B, T, D), frame_mask (B, T) -> logits (B, T, C), or None, and hidden (B, T, channels)."""
        x = nn.Dense(self.channels, dtype=self.dtype, name="input")(masked(x, frame_mask))
        x = masked(x, frame_mask)  # (B, T, channels)
        for i in range(self.num_layers):
            layer = DilatedResidualLayer(2**i, self.dropout, self.causal, self.dtype, name=f"layer{i}")
            x = layer(x, frame_mask, train)
        if not self.num_classes:
            return None, x
        return masked(nn.Dense(self.num_classes, dtype=self.dtype, name="classifier")(x), frame_mask), x


def probabilities(logits, frame_mask=None):
    """Softmax in float32 or better, in the dtype of the logits; masked frames are zero: (B, T, C) -> (B, T, C)."""
    precise = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    return masked(nn.softmax(precise).astype(logits.dtype), frame_mask)


def extended(x, frame_mask, num_frames):
    """Repeat the last valid frame of each sequence `num_frames` times: (B, T, D) -> (B, T + num_frames, D), and mask.

    The valid frames of a sequence come before the masked ones.
    """
    length = x.shape[1] if frame_mask is None else frame_mask.astype(int).sum(1, keepdims=True)  # (B, 1)
    frames = jnp.minimum(jnp.arange(x.shape[1] + num_frames), length - 1)
    mask = None if frame_mask is None else jnp.pad(frame_mask, ((0, 0), (num_frames, 0)), constant_values=1)
    return jnp.take_along_axis(x, jnp.broadcast_to(frames, (len(x), frames.shape[-1]))[..., None], 1), mask


class MSTCN(nn.Module):
    """Stages of dilated convolutions over time: the first sees features, each other one the last stage's probabilities.

    The frame features come from a 2-D network that is trained jointly, or from records.

    Attributes:
        num_classes: number of classes; 0 or None for the first stage without its classifier.
        num_stages: number of stages, including the first.
        num_layers: layers per stage; layer i has the dilation 2^i.
        channels: width of the layers.
        dropout: dropout rate after each layer, in training.
        causal: see only the past: all padding comes before the sequence. The paper's network sees both sides equally.
        look_ahead: number of future frames that a causal network also sees: the label of frame t comes from the frames
            up to t + look_ahead. After the end the last frame repeats. Streams emit each label that much later.
        backbone: a network on single frames, without a classifier; None if the inputs are features.
        dtype: dtype of the computation; parameters are float32.

    Raises:
        ValueError: on construction, without a stage, a layer or a channel, or for a look-ahead that is negative or
            not that of a causal network.
    """

    num_classes: int | None = None
    num_stages: int = 4
    num_layers: int = 10
    channels: int = 64
    dropout: float = 0.5
    causal: bool = False
    look_ahead: int = 0
    backbone: nn.Module | None = None
    dtype: jnp.dtype = jnp.float32
    per_frame = True

    def __post_init__(self):
        for name in ("num_stages", "num_layers", "channels"):
            if getattr(self, name) < 1:
                raise ValueError(f"MS-TCN needs {name} of at least 1; got {getattr(self, name)}.")
        if self.look_ahead < 0 or self.look_ahead and not self.causal:
            raise ValueError(f"look_ahead = {self.look_ahead} needs causal = True, and must be 0 or more frames.")
        super().__post_init__()

    @property
    def receptive_field(self) -> tuple[int, int]:
        """Number of frames that an output of the last stage sees before and after its own.

        Each stage adds 2^num_layers - 1 frames on both sides, or twice as many before if causal. The look-ahead moves
        frames from before to after.
        """
        reach = (self.num_stages if self.num_classes else 1) * (2**self.num_layers - 1)
        return (2 * reach - self.look_ahead, self.look_ahead) if self.causal else (reach, reach)

    @nn.compact
    def __call__(self, video=None, *, features=None, frame_mask=None, train=False):
        """Classify each frame of clips.

        Args:
            video: (B, T, H, W, C), normalised float; or
            features: (B, T, D), float.
            frame_mask: (B, T), boolean or 0 and 1; frames with 0 are ignored (convolutions see zeros).
            train: whether to use batch statistics and dropout.

        Returns:
            Logits of the last stage (B, T, num_classes), zero at masked frames; in training those of all stages
            (B, T, num_stages, num_classes), for the loss `segmentation`; without classes, "hidden".
            Endpoints: those of the backbone, "features" (B, T, D), "hidden" (B, T, channels), the outputs of the first
            stage's layers, and with classes "stages" (num_stages, B, T, num_classes), the logits of all stages.

        Raises:
            ValueError: unless exactly one of video and features is given; if the width of the features does not fit
                the parameters, or a sequence has no valid frame (if the mask is known before compilation).
        """
        x, ends = frame_features(self.backbone, video, features, train=train, dtype=self.dtype)
        params = self.get_variable("params", "stage0")
        check_sequence(x, params and params["input"], frame_mask)
        if self.look_ahead:
            x, frame_mask = extended(x, frame_mask, self.look_ahead)
        stages = []
        for i in range(self.num_stages if self.num_classes else 1):
            arguments = self.num_classes, self.num_layers, self.channels, self.dropout, self.causal, self.dtype
            logits, hidden = Stage(*arguments, name=f"stage{i}")(x, frame_mask, train)
            if i == 0:
                ends["hidden"] = hidden[:, self.look_ahead :]  # the output at frame t + look_ahead is for frame t
            if not self.num_classes:
                return ends["hidden"], ends
            stages.append(logits[:, self.look_ahead :])  # (B, T, C)
            x = probabilities(logits, frame_mask)
        ends["stages"] = jnp.stack(stages)  # (S, B, T, C)
        return jnp.stack(stages, 2) if train else stages[-1], ends
