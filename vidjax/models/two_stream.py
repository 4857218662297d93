"""Two-stream networks: appearance from frames and motion from optical flow, in one model.

Simonyan and Zisserman, "Two-Stream Convolutional Networks for Action Recognition in Videos" (NeurIPS 2014),
https://arxiv.org/abs/1406.2199: a spatial network on single frames, a temporal one on ten stacked fields of flow.
Carreira and Zisserman, "Quo Vadis, Action Recognition?" (CVPR 2017), https://arxiv.org/abs/1705.07750: two I3D.
Feichtenhofer et al., "Convolutional Two-Stream Network Fusion for Video Action Recognition" (CVPR 2016),
https://arxiv.org/abs/1604.06573: two 2-D networks joined by a 3-D convolution.
Ng et al., "Beyond Short Snippets" (CVPR 2015), https://arxiv.org/abs/1503.08909: an LSTM over both streams.

To train the streams separately, use `FramePool` (or any network on frames) for the spatial stream and `StackedFlow` (or
any 3-D network with `config.flow`) for the temporal stream; `vidjax.evaluate` fuses such runs. In one model, the
streams are the submodules `spatial` and `temporal`. They have the parameters of the separate runs, so that `init_from`
can start from those runs.

Optical flow is (B, T, H, W, 2), u and v, where -1..1 stands for -20..20 pixels (`flow.NORMALISED`). Field t goes from
frame t to frame t + 1. Computed flow has one field fewer than there are frames; stored flow has one field per frame.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import linen as nn

from vidjax.models.frame_rnn import RecurrentHead
from vidjax.models.layers import conv, maps_at, mask_of_steps, max_pool, mean_over_time, tf_same, without_masked
from vidjax.models.recurrent import check_cell
from vidjax.models.stacked_flow import StackedFlow, check_flow, mask_of_stacks


def middle_frames(video: jax.Array, num_stacks: int, num_fields: int) -> jax.Array:
    """Return the middle frame of each stack of flow: (B, T, H, W, C) -> (B, num_stacks, H, W, C)."""
    return video[:, num_fields // 2 : num_stacks * num_fields : num_fields]


def run_streams(spatial: nn.Module, temporal: nn.Module, video, flow, frame_mask, *, train: bool):
    """Run both streams on the same points in time.

    Args:
        spatial: a network on frames.
        temporal: `StackedFlow` on N stacks of L fields, in which case `spatial` sees the middle frame of each stack; or
            a network on all fields, in which case `spatial` sees all frames.
        video: (B, T, H, W, C); flow: (B, T or T - 1, H, W, 2).

    Returns:
        The outputs and endpoints of the spatial stream, those of the temporal stream, and the masks of their inputs:
        (B, N) each, or (B, T) and (B, T or T - 1), or None.

    Raises:
        ValueError: if the flow has a wrong shape or is too short; see also the networks.
    """
    check_flow(flow)
    if isinstance(temporal, StackedFlow):
        num_fields = temporal.num_fields
        of_flow = temporal(
            flow, frame_mask=frame_mask, train=train
        )  # runs first, because it checks the number of fields
        num_stacks = flow.shape[1] // num_fields
        mask = mask_of_stacks(frame_mask, num_stacks, num_fields)  # (B, N)
        frames = middle_frames(video, num_stacks, num_fields)  # (B, N, H, W, C)
        return spatial(frames, frame_mask=mask, train=train), of_flow, (mask, mask)
    masks = (None, None) if frame_mask is None else (frame_mask, frame_mask[:, : flow.shape[1]])
    of_frames = spatial(video, frame_mask=masks[0], train=train)
    return of_frames, temporal(flow, frame_mask=masks[1], train=train), masks


def endpoints(spatial: Mapping, temporal: Mapping) -> dict[str, jax.Array]:
    """Merge the endpoints of both streams under names such as "spatial/conv1" and "temporal/conv1"."""
    streams = {"spatial": spatial, "temporal": temporal}
    return {f"{name}/{end}": x for name, ends in streams.items() for end, x in ends.items()}


class TwoStream(nn.Module):
    """A spatial and a temporal network, trained jointly; its logits are the sum of the logits of both.

    With I3D for both, it is two-stream I3D, whose published joint logits are this sum (kinetics-i3d,
    `evaluate_sample.py`).

    Attributes:
        num_classes: number of classes of each stream; 0 or None for no classifiers.
        spatial: a network on frames, such as `FramePool` or I3D.
        temporal: `StackedFlow`, or a 3-D network on all fields.
        dtype: dtype of the computation; parameters are float32.
    """

    num_classes: int | None = None
    spatial: nn.Module | None = None
    temporal: nn.Module | None = None
    dtype: jnp.dtype = jnp.float32

    def __post_init__(self):
        for name in ("spatial", "temporal"):  # each stream has its own classifier
            stream = getattr(self, name)
            if stream is not None and stream.num_classes != self.num_classes:
                setattr(self, name, stream.clone(num_classes=self.num_classes))
        super().__post_init__()

    @nn.compact
    def __call__(self, video, flow, *, frame_mask=None, train=False):
        """Classify clips.

        Args:
            video: (B, T, H, W, C), normalised float.
            flow: (B, T or T - 1, H, W, 2), normalised float.
            frame_mask: (B, T), boolean or 0 and 1; frames with 0 are ignored.
            train: whether to use batch statistics and dropout.

        Returns:
            Logits (B, num_classes), the sum of the endpoints "spatial/logits" and "temporal/logits"; without
            classifiers, the features. Other endpoints: "features" (B, 1, 2 D), the features of both streams averaged
            over time and concatenated (the mask is approximate for 3-D networks whose steps overlap), and those of the
            two networks, "spatial/..." and "temporal/...".

        Raises:
            ValueError: if the flow has a wrong shape or is too short; see also the networks.
        """
        spatial, temporal, masks = run_streams(self.spatial, self.temporal, video, flow, frame_mask, train=train)
        ends, pooled = endpoints(spatial[1], temporal[1]), []
        for stream, frames in zip((spatial, temporal), masks, strict=True):
            x = stream[1]["features"]  # (B, T', D)
            stride = 1 if frames is None else -(-frames.shape[1] // x.shape[1])
            steps = mask_of_steps(frames, stride)
            pooled.append(mean_over_time(x, None if steps is None else steps[:, : x.shape[1]]))  # (B, D)
        ends["features"] = jnp.concatenate(pooled, -1)[:, None]  # (B, 1, 2 D)
        if not self.num_classes:
            return ends["features"], ends
        ends["spatial/logits"], ends["temporal/logits"] = spatial[0], temporal[0]
        return spatial[0] + temporal[0], ends  # (B, num_classes)


def sum_of_streams(key, shape, dtype=jnp.float32) -> jax.Array:
    """Initialise a kernel (3, 3, 3, 2 D, F), F = D, to the sum of the channels of both streams."""
    middle = tuple(size // 2 for size in shape[:-2])
    both = jnp.concatenate([jnp.eye(shape[-2] // 2, shape[-1], dtype=dtype)] * 2)  # (2 D, F)
    return jnp.zeros(shape, dtype).at[middle].set(both)


class TwoStream3D(nn.Module):
    """Two 2-D networks joined by a 3-D convolution over their maps at N times, 3-D pooling, and one classifier.

    Feichtenhofer et al., sections 3.1 ("Conv fusion") and 3.2 ("3D Conv + Pooling"): the maps of frames and flow are
    aligned in space. The convolution is initialised to the sum of the two streams. It differs from the paper in two
    points: the mean over space replaces the fully connected layers, and the temporal stream has no classifier of its
    own.

    Attributes:
        num_classes: number of classes; 0 or None for no classifier.
        spatial: `FramePool` without a classifier.
        temporal: `StackedFlow` without a classifier.
        layer: the endpoint at which both backbones are joined, maps (B, N, h, w, D).
        dropout: dropout rate before the classifier, in training.
        dtype: dtype of the computation; parameters are float32.
    """

    num_classes: int | None = None
    spatial: nn.Module | None = None
    temporal: nn.Module | None = None
    layer: str = "pool5"
    dropout: float = 0.0
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, video, flow, *, frame_mask=None, train=False):
        """Classify clips.

        Args:
            video, flow, frame_mask, train: see `TwoStream`. N = floor(fields / L): 1 for short clips; the 3-D
                convolution sees changes over time only if N is larger.

        Returns:
            Logits (B, num_classes); without a classifier, the features. Endpoints: "spatial/...", "temporal/...",
            "fused" (B, N, h, w, D) and "features" (B, N', D), pooled over 2x2x2 if the maps are large enough.

        Raises:
            ValueError: for a layer that does not exist or has no maps; see also `TwoStream`.
        """
        (_, spatial), (_, temporal), (mask, _) = run_streams(
            self.spatial, self.temporal, video, flow, frame_mask, train=train
        )
        ends = endpoints(spatial, temporal)
        maps = [maps_at(stream, self.layer) for stream in (spatial, temporal)]
        channels = maps[0].shape[-1]
        x = without_masked(jnp.concatenate(maps, -1), mask)  # (B, N, h, w, 2 D)
        arguments = {"use_bias": True, "kernel_init": sum_of_streams, "dtype": self.dtype, "name": "fusion"}
        x = ends["fused"] = nn.relu(conv(x, channels, (3, 3, 3), padding=tf_same, **arguments))  # (B, N, h, w, D)
        x = without_masked(x, mask)  # no value is negative, so masked zeros never win
        window = tuple(min(2, size) for size in x.shape[1:-1])
        x = max_pool(x, window, window, padding=tf_same)  # (B, N', h', w', D)
        x = ends["features"] = x.mean((2, 3))  # (B, N', D)
        if not self.num_classes:
            return x, ends
        steps = mask_of_steps(mask, window[0])  # (B, N')
        x = nn.Dropout(self.dropout, deterministic=not train)(mean_over_time(x, steps))  # (B, D)
        return nn.Dense(self.num_classes, dtype=self.dtype, name="classifier")(x), ends  # (B, num_classes)


class TwoStreamRNN(nn.Module):
    """Two 2-D networks, and a recurrent network over the concatenated features of both at N times.

    Attributes:
        num_classes: number of classes; 0 or None for no classifier.
        spatial: `FramePool` without a classifier.
        temporal: `StackedFlow` without a classifier; shorter stacks give the recurrent network more steps.
        cell, hidden, num_layers, bidirectional: see `FrameRNN`.
        dropout: dropout rate of the features and of the output, in training.
        dtype: dtype of the computation; parameters are float32.
    """

    num_classes: int | None = None
    spatial: nn.Module | None = None
    temporal: nn.Module | None = None
    cell: str = "lstm"
    hidden: int = 256
    num_layers: int = 1
    bidirectional: bool = False
    dropout: float = 0.0
    dtype: jnp.dtype = jnp.float32

    def __post_init__(self):
        check_cell(self.cell, self.num_layers)
        super().__post_init__()

    @nn.compact
    def __call__(self, video, flow, *, frame_mask=None, train=False):
        """Classify clips by the last output.

        Args:
            video, flow, frame_mask, train: see `TwoStream`; N = floor(fields / L).

        Returns:
            Logits (B, num_classes); without a classifier, the last output. Endpoints: "spatial/...", "temporal/...",
            "features" (B, N, 2 D), "hidden" (B, N, H) and "last" (B, H).

        Raises:
            ValueError: see `TwoStream`.
        """
        (_, spatial), (_, temporal), (mask, _) = run_streams(
            self.spatial, self.temporal, video, flow, frame_mask, train=train
        )
        ends = endpoints(spatial, temporal)
        x = ends["features"] = jnp.concatenate([spatial["features"], temporal["features"]], -1)  # (B, N, 2 D)
        head = RecurrentHead(
            self.num_classes,
            self.cell,
            self.hidden,
            self.num_layers,
            self.bidirectional,
            dropout=self.dropout,
            dtype=self.dtype,
            name="head",
        )
        x, of_steps = head(x, mask, train=train)  # (B, num_classes)
        return x, {**ends, **of_steps}
