"""Recurrent networks over the frames of a video, over its clips, or over stored features.

Donahue et al., "Long-term Recurrent Convolutional Networks for Visual Recognition and Description" (CVPR 2015),
https://arxiv.org/abs/1411.4389: a 2-D network on each frame, and an LSTM over its features. With a 3-D network on
clips: Montes et al., "Temporal Activity Detection in Untrimmed Videos with Recurrent Neural Networks" (2016),
https://arxiv.org/abs/1608.08128.
"""

import jax.numpy as jnp
from flax import linen as nn

from vidjax.models.frame_pool import frame_features
from vidjax.models.layers import mask_of_steps, mean_over_time
from vidjax.models.recurrent import check_cell, recurrent_stack


class RecurrentHead(nn.Module):
    """BatchNorm if wanted, dropout, recurrent layers, dropout, a linear classifier. Attributes: see `FrameRNN`."""

    num_classes: int | None = None
    cell: str = "lstm"
    hidden: int = 256
    num_layers: int = 1
    bidirectional: bool = False
    per_frame: bool = False
    normalise: bool = False
    dropout: float = 0.0
    dtype: jnp.dtype = jnp.float32

    def __post_init__(self):
        check_cell(self.cell, self.num_layers)
        super().__post_init__()

    @nn.compact
    def __call__(self, x, mask=None, *, train: bool = False):
        """Classify sequences, or each step of sequences.

        Args:
            x: (B, T, D).
            mask: (B, T), boolean or 0 and 1; steps with 0 are skipped. None means that all steps are valid.

        Returns:
            Logits (B, num_classes) of the last output, or (B, T, num_classes) of every step with `per_frame`; without a
            classifier, the outputs. Endpoints: "hidden" (B, T, H) and "last" (B, H).
        """
        ends = {}
        if self.normalise:
            valid = None if mask is None else jnp.asarray(mask).astype(bool)[..., None]  # (B, T, 1)
            x = nn.BatchNorm(not train, momentum=0.9, epsilon=1e-3, dtype=self.dtype, name="norm")(x, mask=valid)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)  # (B, T, D)
        ends["hidden"], ends["last"] = recurrent_stack(  # (B, T, H), (B, H)
            x,
            mask,
            features=self.hidden,
            cell=self.cell,
            num_layers=self.num_layers,
            bidirectional=self.bidirectional,
            dropout=self.dropout,
            train=train,
            dtype=self.dtype,
        )
        x = ends["hidden" if self.per_frame else "last"]
        if not self.num_classes:
            return x, ends
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(self.num_classes, dtype=self.dtype, name="classifier")(x), ends  # (B, [T,] num_classes)


class FrameRNN(nn.Module):
    """A recurrent network over frame features, dropout, and a linear classifier.

    The frame features come from a 2-D network that is trained jointly, or from records.

    Attributes:
        num_classes: number of classes; 0 or None for no classifier.
        backbone: a network on single frames, without a classifier; None if the inputs are features.
        cell: "lstm", "gru" or "rnn"; also names the submodules of the layers.
        hidden: size of each layer's output and memory, per direction.
        num_layers: number of stacked layers.
        bidirectional: add a second direction, from the last frame to the first.
        per_frame: classify every frame; otherwise the sequence, by the last output.
        normalise: normalise each feature over the valid steps of the batch (BatchNorm), as Montes et al. do.
        dropout: dropout rate of the input, between layers and of the output, in training.
        dtype: dtype of the computation; parameters are float32.

    Raises:
        ValueError: on construction, for an unknown cell or less than one layer.
    """

    num_classes: int | None = None
    backbone: nn.Module | None = None
    cell: str = "lstm"
    hidden: int = 256
    num_layers: int = 1
    bidirectional: bool = False
    per_frame: bool = False
    normalise: bool = False
    dropout: float = 0.0
    dtype: jnp.dtype = jnp.float32

    def __post_init__(self):
        check_cell(self.cell, self.num_layers)
        super().__post_init__()

    @nn.compact
    def __call__(self, video=None, *, features=None, frame_mask=None, train=False):
        """Classify clips, or each frame of clips.

        Args:
            video: (B, T, H, W, C), normalised float; or
            features: (B, T, D), float.
            frame_mask: (B, T), boolean or 0 and 1; frames with 0 are skipped.
            train: whether to use batch statistics and dropout.

        Returns:
            Logits (B, num_classes), or (B, T, num_classes) per frame; without a classifier, the last output or all.
            Endpoints: those of the backbone, "features" (B, T, D), "hidden" (B, T, H) and "last" (B, H).

        Raises:
            ValueError: unless exactly one of video and features is given; see also `recurrent.Recurrent`.
        """
        x, ends = frame_features(self.backbone, video, features, train=train, dtype=self.dtype)
        head = RecurrentHead(
            self.num_classes,
            self.cell,
            self.hidden,
            self.num_layers,
            self.bidirectional,
            self.per_frame,
            self.normalise,
            self.dropout,
            self.dtype,
            name="head",
        )
        x, of_steps = head(x, frame_mask, train=train)  # (B, [T,] num_classes)
        return x, {**ends, **of_steps}


class ClipRNN(nn.Module):
    """A 3-D network on each clip of a video, and a recurrent network over the clips.

    Attributes:
        network: a 3-D network, without a classifier.
        clip_frames: frames per clip; the video is cut into clips that do not overlap.
        num_classes, cell, hidden, num_layers, bidirectional, normalise, dropout, dtype: see `FrameRNN`.
        per_frame: classify every frame, with the logits of its clip; otherwise the video, by the last output.

    Raises:
        ValueError: on construction, see `FrameRNN`.
    """

    num_classes: int | None = None
    network: nn.Module | None = None
    clip_frames: int = 16
    cell: str = "lstm"
    hidden: int = 256
    num_layers: int = 1
    bidirectional: bool = False
    per_frame: bool = False
    normalise: bool = False
    dropout: float = 0.0
    dtype: jnp.dtype = jnp.float32

    def __post_init__(self):
        check_cell(self.cell, self.num_layers)
        super().__post_init__()

    @nn.compact
    def __call__(self, video, *, frame_mask=None, train=False):
        """Classify videos, or each frame of videos.

        Args:
            video: (B, T, H, W, C), normalised float; T is a multiple of `clip_frames`.
            frame_mask: (B, T), boolean or 0 and 1; a clip is valid if one of its frames is.
            train: see `FrameRNN`.

        Returns:
            Logits (B, num_classes), or (B, T, num_classes) per frame; without a classifier, the last output or those of
            all clips. Endpoints: "features" (B, T / clip_frames, D), "hidden" (B, T / clip_frames, H), "last" (B, H).

        Raises:
            ValueError: if the video cannot be cut into whole clips; see also the network and `recurrent.Recurrent`.
        """
        batch, num_frames = video.shape[:2]
        if num_frames % self.clip_frames or not num_frames:
            raise ValueError(
                f"A video of {num_frames} frames is not cut into clips of {self.clip_frames}: make the number a "
                "multiple, or set clip_frames."
            )
        clips = video.reshape(-1, self.clip_frames, *video.shape[2:])  # (B N, 16, H, W, C)
        masks = None if frame_mask is None else jnp.asarray(frame_mask).reshape(-1, self.clip_frames)  # (B N, 16)
        x = self.network(clips, frame_mask=masks, train=train)[1]["features"]  # (B N, T', D)
        x = mean_over_time(x, mask_of_steps(masks, -(-self.clip_frames // x.shape[1])))  # (B N, D)
        x = x.reshape(batch, -1, x.shape[-1])  # (B, N, D)
        clip_mask = None if masks is None else masks.astype(bool).any(1).reshape(batch, -1)  # (B, N)
        ends = {"features": x}
        head = RecurrentHead(
            self.num_classes,
            self.cell,
            self.hidden,
            self.num_layers,
            self.bidirectional,
            self.per_frame,
            self.normalise,
            self.dropout,
            dtype=self.dtype,
            name="head",
        )
        x, of_steps = head(x, clip_mask, train=train)  # (B, [N,] num_classes)
        if self.per_frame and self.num_classes:
            x = jnp.repeat(x, self.clip_frames, axis=1)  # (B, T, num_classes)
        return x, {**ends, **of_steps}
