"""Two-stream networks: appearance from frames and motion from optical flow, in one model.

Simonyan and Zisserman, "Two-Stream Convolutional Networks for Action Recognition in Videos" (NeurIPS 2014),
https://arxiv.org/abs/1406.2199: a spatial network on single frames, a temporal one on ten stacked fields of flow.
Carreira and Zisserman, "Quo Vadis, Action Recognition?" (CVPR 2017), https://arxiv.org/abs/1705.07750: two I3D.
Feichtenhofer et al., "Convolutional Two-Stream Network Fusion for Video Action Recognition" (CVPR 2016),
https://arxiv.org/abs/1604.06573: two 2-D networks that a 3-D convolution joins.
Ng et al., "Beyond Short Snippets" (CVPR 2015), https://arxiv.org/abs/1503.08909: an LSTM over both streams.

Trained apart, the spatial stream is `FramePool` (or any network on frames) and the temporal one `StackedFlow` (or any
3-D network with `config.flow`); `vidjax.evaluate` fuses such runs. In one model, the streams are the submodules
`spatial` and `temporal`, whose parameters are those of the two runs, so that `init_from` can start from them.

Optical flow is (B, T, H, W, 2), u and v, as -1..1 of 20 pixels (`flow.NORMALISED`); field t goes from frame t to frame
t + 1. Where it is computed of the frames there is one field fewer than there are frames, where it was stored as many.
"""

from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn

from vidjax.models.frame_pool import BACKBONES, FramePool
from vidjax.models.frame_rnn import CLIP_NETWORKS
from vidjax.models.layers import (
    check_arguments,
    conv,
    maps_at,
    mask_of_steps,
    max_pool,
    mean_over_time,
    tf_same,
    without_masked,
)
from vidjax.models.recurrent import check_cell, recurrent_stack
from vidjax.models.stacked_flow import StackedFlow, check_flow, mask_of_stacks

STREAMS = {**BACKBONES, **CLIP_NETWORKS}


def middle_frames(video: jax.Array, num_stacks: int, num_fields: int) -> jax.Array:
    """The frame in the middle of each stack of flow: (B, T, H, W, C) -> (B, num_stacks, H, W, C)."""
    return video[:, num_fields // 2 : num_stacks * num_fields : num_fields]


def two_streams(model: nn.Module, video, flow, frame_mask, *, num_classes: int | None, train: bool):
    """Runs both streams of 2-D networks; to be called in a compact method, where it makes `spatial` and `temporal`.

    Args:
        model: has the attributes of `TwoStream` but for those of 3-D networks.
        video: (B, T, H, W, C); flow: (B, T or T - 1, H, W, 2); N = floor(fields / L).
        num_classes: of each stream.

    Returns:
        What the spatial stream returns for the frames in the middle of the N stacks, what the temporal one returns for
        the stacks, and which of the N count, (B, N) or None.
    """
    num_stacks = flow.shape[1] // model.num_fields
    mask = mask_of_stacks(frame_mask, num_stacks, model.num_fields)  # (B, N)
    shared = {"num_classes": num_classes, "backbone": model.network, "dropout": model.dropout, "dtype": model.dtype}
    arguments = dict(model.network_arguments or {})
    temporal = StackedFlow(
        **shared,
        backbone_arguments={**arguments, **(model.temporal_arguments or {})},
        num_fields=model.num_fields,
        name="temporal",
    )
    of_flow = temporal(flow, frame_mask=frame_mask, train=train)  # first: it checks the flow
    spatial = FramePool(**shared, backbone_arguments=arguments, name="spatial")
    frames = middle_frames(video, num_stacks, model.num_fields)  # (B, N, H, W, C)
    return spatial(frames, frame_mask=mask, train=train), of_flow, mask


def endpoints(spatial: Mapping, temporal: Mapping) -> dict[str, jax.Array]:
    """The endpoints of both streams, as "spatial/conv1" and "temporal/conv1"."""
    streams = {"spatial": spatial, "temporal": temporal}
    return {f"{name}/{end}": x for name, ends in streams.items() for end, x in ends.items()}


def check_streams(network: str, networks: Mapping, arguments: Mapping | None, temporal_arguments: Mapping | None):
    """Raises a ValueError for an unknown network of the two streams, or an argument that it does not have."""
    for given in (arguments, temporal_arguments):
        check_arguments("network of the two streams", network, networks, given or ())


class TwoStream(nn.Module):
    """A spatial and a temporal network, trained together; the logits are the sum of those of the two.

    With "i3d" it is two-stream I3D, whose published joint logits are this sum (kinetics-i3d, `evaluate_sample.py`).

    Attributes:
        num_classes: of the classifier of each stream; 0 or None for none.
        network: of both streams: a 2-D one (`frame_pool.BACKBONES`), on single frames and on stacks of flow, or a 3-D
            one (`frame_rnn.CLIP_NETWORKS`), on all frames and all fields.
        network_arguments: of both networks, but for `num_classes` and `dtype`.
        temporal_arguments: of the temporal network alone, where they differ.
        num_fields: of a stack, of 2-D networks.
        dropout: of the features, while training, of 2-D networks; 3-D ones have their own.
        dtype: of the computation; parameters are float32.

    Raises:
        ValueError: when made, for an unknown network or argument of it, or dropout of a 3-D network.
    """

    num_classes: int | None
    network: str = "cnn_m_2048"
    network_arguments: Mapping | None = None
    temporal_arguments: Mapping | None = None
    num_fields: int = 10
    dropout: float = 0.0
    dtype: jnp.dtype = jnp.float32

    def __post_init__(self):
        check_streams(self.network, STREAMS, self.network_arguments, self.temporal_arguments)
        if self.dropout and self.network not in BACKBONES:
            raise ValueError(f"{self.network} has a dropout of its own: set it in network_arguments.")
        super().__post_init__()

    @nn.compact
    def __call__(self, video, flow, *, frame_mask=None, train=False):
        """Classifies clips.

        Args:
            video: (B, T, H, W, C), normalised float.
            flow: (B, T or T - 1, H, W, 2), normalised float.
            frame_mask: (B, T), boolean or 0 and 1: frames that are 0 do not count.
            train: use the statistics of this batch, and dropout.

        Returns:
            Logits (B, num_classes), the sum of the endpoints "spatial/logits" and "temporal/logits"; without a
            classifier the features. Other endpoints: "features" (B, 1, 2 D), those of both streams, averaged over time
            (in 3-D networks whose steps overlap, the steps that count are approximate), side by side, and those of the
            two networks, "spatial/..." and "temporal/...".

        Raises:
            ValueError: for flow that is none or too short, and as of the networks.
        """
        if self.network in BACKBONES:
            spatial, temporal, mask = two_streams(
                self, video, flow, frame_mask, num_classes=self.num_classes, train=train
            )
            masks = mask, mask
        else:
            check_flow(flow)
            network = partial(CLIP_NETWORKS[self.network], num_classes=self.num_classes, dtype=self.dtype)
            arguments = dict(self.network_arguments or {})
            temporal_arguments = {**arguments, **(self.temporal_arguments or {})}
            masks = (None, None) if frame_mask is None else (frame_mask, frame_mask[:, : flow.shape[1]])
            spatial = network(**arguments, name="spatial")(video, frame_mask=masks[0], train=train)
            temporal = network(**temporal_arguments, name="temporal")(flow, frame_mask=masks[1], train=train)
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
    """A kernel (3, 3, 3, 2 D, F) that adds channel d of the one stream to channel d of the other, as F = D starts."""
    middle = tuple(size // 2 for size in shape[:-2])
    both = jnp.concatenate([jnp.eye(shape[-2] // 2, shape[-1], dtype=dtype)] * 2)  # (2 D, F)
    return jnp.zeros(shape, dtype).at[middle].set(both)


class TwoStream3D(nn.Module):
    """Two 2-D networks joined by a 3-D convolution over their maps at N times, 3-D pooling, and one classifier.

    Feichtenhofer et al., sections 3.1 ("Conv fusion") and 3.2 ("3D Conv + Pooling"): each place of the maps of frames
    lies on that of flow. The convolution starts as the sum of the two streams. Two things are not the paper's: the mean
    over space in place of fully connected layers, and that the temporal stream has no classifier of its own besides.

    Attributes:
        num_classes: 0 or None for no classifier.
        network: of both streams, a name in `frame_pool.BACKBONES`.
        layer: the endpoint of the network that is joined, maps (B, N, h, w, D).
        network_arguments, temporal_arguments, num_fields, dtype: as of `TwoStream`.
        dropout: before the classifier, while training.

    Raises:
        ValueError: when made, for an unknown network or argument of it.
    """

    num_classes: int | None
    network: str = "vgg16"
    layer: str = "pool5"
    network_arguments: Mapping | None = None
    temporal_arguments: Mapping | None = None
    num_fields: int = 10
    dropout: float = 0.0
    dtype: jnp.dtype = jnp.float32

    def __post_init__(self):
        check_streams(self.network, BACKBONES, self.network_arguments, self.temporal_arguments)
        super().__post_init__()

    @nn.compact
    def __call__(self, video, flow, *, frame_mask=None, train=False):
        """Classifies clips.

        Args:
            video, flow, frame_mask, train: as of `TwoStream`; N = floor(fields / L), one for short clips, more for the
                3-D convolution to see how things go on.

        Returns:
            Logits (B, num_classes); without a classifier the features. Endpoints: "spatial/...", "temporal/...",
            "fused" (B, N, h, w, D) and "features" (B, N', D), pooled over 2x2x2 where the maps are large enough.

        Raises:
            ValueError: for a layer that the network does not have or that has no maps, and as of `TwoStream`.
        """
        (_, spatial), (_, temporal), mask = two_streams(self, video, flow, frame_mask, num_classes=0, train=train)
        ends = endpoints(spatial, temporal)
        maps = [maps_at(stream, self.layer, self.network) for stream in (spatial, temporal)]
        channels = maps[0].shape[-1]
        x = without_masked(jnp.concatenate(maps, -1), mask)  # (B, N, h, w, 2 D)
        arguments = {"use_bias": True, "kernel_init": sum_of_streams, "dtype": self.dtype, "name": "fusion"}
        x = ends["fused"] = nn.relu(conv(x, channels, (3, 3, 3), padding=tf_same, **arguments))  # (B, N, h, w, D)
        x = without_masked(x, mask)  # what is not negative is never the largest for being zero
        window = tuple(min(2, size) for size in x.shape[1:-1])
        x = max_pool(x, window, window, padding=tf_same)  # (B, N', h', w', D)
        x = ends["features"] = x.mean((2, 3))  # (B, N', D)
        if not self.num_classes:
            return x, ends
        steps = mask_of_steps(mask, window[0])  # (B, N')
        x = nn.Dropout(self.dropout, deterministic=not train)(mean_over_time(x, steps))  # (B, D)
        return nn.Dense(self.num_classes, dtype=self.dtype, name="classifier")(x), ends  # (B, num_classes)


class TwoStreamRNN(nn.Module):
    """Two 2-D networks, and a recurrent network over the features of both, side by side, at N times.

    Attributes:
        num_classes: 0 or None for no classifier.
        network, network_arguments, temporal_arguments: as of `TwoStream3D`.
        num_fields: of a stack; short ones leave the recurrent network more steps.
        cell, hidden, num_layers, bidirectional: as of `FrameRNN`.
        dropout: of the features and of the output, while training.
        dtype: of the computation; parameters are float32.

    Raises:
        ValueError: when made, for an unknown network, argument of it, or cell.
    """

    num_classes: int | None
    network: str = "resnet18"
    network_arguments: Mapping | None = None
    temporal_arguments: Mapping | None = None
    num_fields: int = 10
    cell: str = "lstm"
    hidden: int = 256
    num_layers: int = 1
    bidirectional: bool = False
    dropout: float = 0.0
    dtype: jnp.dtype = jnp.float32

    def __post_init__(self):
        check_streams(self.network, BACKBONES, self.network_arguments, self.temporal_arguments)
        check_cell(self.cell, self.num_layers, self.bidirectional, stateful=False)
        super().__post_init__()

    @nn.compact
    def __call__(self, video, flow, *, frame_mask=None, train=False):
        """Classifies clips by the last output.

        Args:
            video, flow, frame_mask, train: as of `TwoStream`; N = floor(fields / L).

        Returns:
            Logits (B, num_classes); without a classifier the last output. Endpoints: "spatial/...", "temporal/...",
            "features" (B, N, 2 D), "hidden" (B, N, H) and "last" (B, H).

        Raises:
            ValueError: as of `TwoStream`.
        """
        (_, spatial), (_, temporal), mask = two_streams(self, video, flow, frame_mask, num_classes=0, train=train)
        ends = endpoints(spatial, temporal)
        x = ends["features"] = jnp.concatenate([spatial["features"], temporal["features"]], -1)  # (B, N, 2 D)
        dropout = partial(nn.Dropout, self.dropout, deterministic=not train)
        ends["hidden"], ends["last"] = recurrent_stack(  # (B, N, H), (B, H)
            dropout()(x),
            mask,
            None,
            features=self.hidden,
            cell=self.cell,
            num_layers=self.num_layers,
            bidirectional=self.bidirectional,
            stateful=False,
            dropout=self.dropout,
            train=train,
            dtype=self.dtype,
        )
        if not self.num_classes:
            return ends["last"], ends
        return nn.Dense(self.num_classes, dtype=self.dtype, name="classifier")(dropout()(ends["last"])), ends
