"""A temporal stream whose optical flow is estimated inside the network and trained with it.

As in Zhu et al., "Hidden Two-Stream Convolutional Networks for Action Recognition" (ACCV 2018),
https://arxiv.org/abs/1704.00389, section 3.2: a network of optical flow stacked before a temporal stream, fine-tuned by
the classification loss. (The paper pretrains its flow network without labels, and keeps that loss beside.)
"""

import jax.numpy as jnp
from flax import linen as nn

from vidjax.models.flow_layers import check_frames

LARGEST = 20.0  # pixels that become 1: the scale of stored and computed flow


class FlowStream(nn.Module):
    """Estimates the flow between neighbouring frames, and classifies it.

    `config.init_from` takes a run or file of the flow network alone. `config.freeze = ("network/.*",)` keeps it fixed.

    Attributes:
        num_classes: number of classes; 0 or None for no classifier.
        network: a network of optical flow, such as `SPyNet`.
        stream: `StackedFlow`, or a 3-D network on fields of flow.
        dtype: dtype of the computation; parameters are float32.
    """

    num_classes: int | None = None
    network: nn.Module | None = None
    stream: nn.Module | None = None
    dtype: jnp.dtype = jnp.float32

    def __post_init__(self):
        if self.stream is not None and self.stream.num_classes != self.num_classes:
            self.stream = self.stream.clone(num_classes=self.num_classes)
        super().__post_init__()

    @nn.compact
    def __call__(self, video, *, frame_mask=None, train=False):
        """Classify clips.

        Args:
            video: (B, T, H, W, 3), float in -1..1.
            frame_mask: (B, T), boolean or 0 and 1; a field counts if both of its frames do.
            train: whether the stream uses batch statistics and dropout. The flow network does not: its statistics stay.

        Returns:
            Logits (B, num_classes); without a classifier, the features. Endpoints: those of the stream, and "flow" in
            pixels, float32 (B, T - 1, H, W, 2).

        Raises:
            ValueError: for fewer frames than the stream needs; see also both networks.
        """
        check_frames(video)
        _, of_network = self.network(video)
        flow = of_network["flow"]  # (B, T - 1, H, W, 2)
        mask = None if frame_mask is None else frame_mask[:, 1:] * frame_mask[:, :-1]  # (B, T - 1)
        x = (flow.clip(-LARGEST, LARGEST) / LARGEST).astype(self.dtype)
        outputs, ends = self.stream(x, frame_mask=mask, train=train)
        return outputs, {**ends, "flow": flow}
