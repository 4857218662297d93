"""A recurrent network over the frames of a video, or over its clips, or over stored features.

Donahue et al., "Long-term Recurrent Convolutional Networks for Visual Recognition and Description" (CVPR 2015),
https://arxiv.org/abs/1411.4389: a 2-D network on each frame, and an LSTM over its features. Over the clips of a 3-D
network: Montes et al., "Temporal Activity Detection in Untrimmed Videos with Recurrent Neural Networks" (2016),
https://arxiv.org/abs/1608.08128.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import linen as nn

from vidjax.models.carry import check_start
from vidjax.models.frame_pool import BACKBONES, frame_features
from vidjax.models.inception import I3D, S3D
from vidjax.models.layers import check_arguments, mask_of_steps, mean_over_time
from vidjax.models.recurrent import check_cell, recurrent_stack
from vidjax.models.resnet import MC318, R3D18, R3D34, R2Plus1D18, R2Plus1D34
from vidjax.models.vgg import C3D, VGG16_3D

CLIP_NETWORKS = {
    "c3d": C3D,
    "vgg16_3d": VGG16_3D,
    "i3d": I3D,
    "s3d": S3D,
    "r3d_18": R3D18,
    "r3d_34": R3D34,
    "mc3_18": MC318,
    "r2plus1d_18": R2Plus1D18,
    "r2plus1d_34": R2Plus1D34,
}


def classify_steps(network, x, mask, sequence_start, *, train: bool, **scan) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Dropout, recurrent layers, dropout, a linear classifier; to be called in a compact method.

    Args:
        network: has the attributes of `FrameRNN` from `num_classes` to `dtype`.
        x: (B, T, D); mask: (B, T) or None.
        sequence_start: as of `recurrent.Recurrent`.
        **scan: `unroll` and `remat` of `recurrent.Recurrent`.

    Returns:
        Logits of the last output (B, num_classes), with `per_frame` of every step (B, T, num_classes), or without a
        classifier what it would see; and the endpoints "hidden" (B, T, H) and "last" (B, H).
    """
    ends = {}
    x = nn.Dropout(network.dropout, deterministic=not train)(x)  # (B, T, D)
    ends["hidden"], ends["last"] = recurrent_stack(  # (B, T, H), (B, H)
        x,
        mask,
        sequence_start,
        features=network.hidden,
        cell=network.cell,
        num_layers=network.num_layers,
        bidirectional=network.bidirectional,
        stateful=network.stateful,
        dropout=network.dropout,
        train=train,
        dtype=network.dtype,
        **scan,
    )
    x = ends["hidden" if network.per_frame else "last"]
    if not network.num_classes:
        return x, ends
    x = nn.Dropout(network.dropout, deterministic=not train)(x)
    return nn.Dense(network.num_classes, dtype=network.dtype, name="classifier")(x), ends  # (B, [T,] num_classes)


class FrameRNN(nn.Module):
    """A recurrent network over the features of the frames, dropout, and a linear classifier.

    The frames' features come from a 2-D network that is trained along with it, or from records.

    Attributes:
        num_classes: 0 or None for no classifier.
        backbone: a name in `frame_pool.BACKBONES`, used where the input is a video.
        backbone_arguments: of that network, but for `num_classes` and `dtype`.
        cell: "lstm", "gru" or "rnn"; the submodules of the layers are named after it.
        hidden: size of the output of a layer and of its memory, in each direction.
        num_layers: one over the outputs of the other.
        bidirectional: a second direction, from the last frame to the first.
        stateful: go on where the batch before ended, see `recurrent.Recurrent`; for `config.clip.sampling = "chunks"`.
        per_frame: classify every frame; else the sequence, by the last output.
        dropout: of the input, between the layers and of the output, while training.
        unroll, remat: of the scan over time: steps in one iteration; save memory and compute more.
        dtype: of the computation; parameters are float32.

    Raises:
        ValueError: when made, for an unknown backbone, argument of it, or cell, or a stateful bidirectional network.
    """

    num_classes: int | None
    backbone: str = "resnet18"
    backbone_arguments: Mapping | None = None
    cell: str = "lstm"
    hidden: int = 256
    num_layers: int = 1
    bidirectional: bool = False
    stateful: bool = False
    per_frame: bool = False
    dropout: float = 0.0
    unroll: int = 1
    remat: bool = False
    dtype: jnp.dtype = jnp.float32

    def __post_init__(self):
        check_arguments("backbone on single frames", self.backbone, BACKBONES, self.backbone_arguments or ())
        check_cell(self.cell, self.num_layers, self.bidirectional, self.stateful)
        super().__post_init__()

    @nn.compact
    def __call__(self, video=None, *, features=None, frame_mask=None, sequence_start=None, train=False):
        """Classifies clips, or the frames of clips.

        Args:
            video: (B, T, H, W, C), normalised float; or
            features: (B, T, D), float.
            frame_mask: (B, T), boolean or 0 and 1: frames that are 0 are passed over.
            sequence_start: (B,), boolean or 0 and 1, of a stateful network: clips that begin a sequence.
            train: use the statistics of this batch, and dropout.

        Returns:
            Logits (B, num_classes), or (B, T, num_classes) per frame; without a classifier the last output or all.
            Endpoints: of the backbone, "features" (B, T, D), "hidden" (B, T, H) and "last" (B, H).

        Raises:
            ValueError: where it is not exactly one of video and features; else as of `recurrent.Recurrent`.
        """
        check_start(self.stateful, train, sequence_start)
        x, ends = frame_features(video, features, self.backbone, self.backbone_arguments, train=train, dtype=self.dtype)
        scan = {"unroll": self.unroll, "remat": self.remat}
        x, of_steps = classify_steps(self, x, frame_mask, sequence_start, train=train, **scan)  # (B, [T,] num_classes)
        return x, {**ends, **of_steps}


class ClipRNN(nn.Module):
    """A 3-D network on each clip of a video, and a recurrent network over the clips.

    Attributes:
        network: a name in `CLIP_NETWORKS`.
        network_arguments: of that network, but for `num_classes` and `dtype`.
        clip_frames: length of a clip; the video is cut into clips that do not overlap.
        num_classes, cell, hidden, num_layers, bidirectional, stateful, dropout, dtype: as of `FrameRNN`.
        per_frame: classify every frame, each as its clip; else the video, by the last output.

    Raises:
        ValueError: when made, as of `FrameRNN`.
    """

    num_classes: int | None
    network: str = "c3d"
    network_arguments: Mapping | None = None
    clip_frames: int = 16
    cell: str = "lstm"
    hidden: int = 256
    num_layers: int = 1
    bidirectional: bool = False
    stateful: bool = False
    per_frame: bool = False
    dropout: float = 0.0
    dtype: jnp.dtype = jnp.float32

    def __post_init__(self):
        check_arguments("network on clips", self.network, CLIP_NETWORKS, self.network_arguments or ())
        check_cell(self.cell, self.num_layers, self.bidirectional, self.stateful)
        super().__post_init__()

    @nn.compact
    def __call__(self, video, *, frame_mask=None, sequence_start=None, train=False):
        """Classifies videos, or their frames.

        Args:
            video: (B, T, H, W, C), normalised float; T is a multiple of `clip_frames`.
            frame_mask: (B, T), boolean or 0 and 1: a clip counts where one of its frames does.
            sequence_start, train: as of `FrameRNN`.

        Returns:
            Logits (B, num_classes), or (B, T, num_classes) per frame; without a classifier the last output or those of
            all clips. Endpoints: "features" (B, T / clip_frames, D), "hidden" (B, T / clip_frames, H), "last" (B, H).

        Raises:
            ValueError: for a video that is not cut into whole clips; else as of the network and `recurrent.Recurrent`.
        """
        check_start(self.stateful, train, sequence_start)
        batch, num_frames = video.shape[:2]
        if num_frames % self.clip_frames or not num_frames:
            raise ValueError(
                f"A video of {num_frames} frames is not cut into clips of {self.clip_frames}: make the number a "
                "multiple, or set clip_frames."
            )
        clips = video.reshape(-1, self.clip_frames, *video.shape[2:])  # (B N, 16, H, W, C)
        masks = None if frame_mask is None else jnp.asarray(frame_mask).reshape(-1, self.clip_frames)  # (B N, 16)
        arguments = {**(self.network_arguments or {}), "num_classes": 0, "dtype": self.dtype}
        network = CLIP_NETWORKS[self.network](**arguments, name="network")
        x = network(clips, frame_mask=masks, train=train)[1]["features"]  # (B N, T', D)
        x = mean_over_time(x, mask_of_steps(masks, -(-self.clip_frames // x.shape[1])))  # (B N, D)
        x = x.reshape(batch, -1, x.shape[-1])  # (B, N, D)
        clip_mask = None if masks is None else masks.astype(bool).any(1).reshape(batch, -1)  # (B, N)
        ends = {"features": x}
        x, of_steps = classify_steps(self, x, clip_mask, sequence_start, train=train)  # (B, [N,] num_classes)
        if self.per_frame and self.num_classes:
            x = jnp.repeat(x, self.clip_frames, axis=1)  # (B, T, num_classes)
        return x, {**ends, **of_steps}
