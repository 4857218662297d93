"""A learned query that attends to all features of a video, and a linear classifier: attentive probing.

The pooler is that of VideoPrism's classifier (Zhao et al., "VideoPrism: A Foundational Visual Encoder for Video
Understanding", ICML 2024, https://arxiv.org/abs/2402.13217; FactorizedVideoClassifier in
github.com/google-deepmind/videoprism): cross-attention of one query and a norm, without an MLP. V-JEPA's probe (Bardes
et al., 2024, https://arxiv.org/abs/2404.08471) has a residual MLP after the cross-attention.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from vidjax.models import backend
from vidjax.models.attention import Attention, mask_of_tokens, normal
from vidjax.models.frame_pool import frame_features
from vidjax.models.recurrent import check_sequence


class Pooler(nn.Module):
    """Attention of one learned query to all tokens, then a norm.

    Each dimension of the heads has a learned scale beside the usual 1 / sqrt(W / num_heads); it starts at 1.

    Attributes:
        num_heads: number of heads; it divides W.
        width: see `attention.Attention`.
    """

    num_heads: int
    dtype: jnp.dtype = jnp.float32
    width: int | None = None

    @nn.compact
    def __call__(self, x, mask=None):
        """Pools tokens.

        Args:
            x: (B, N, D), float.
            mask: (B, N), boolean or 0 and 1; tokens with 0 are not seen.

        Returns:
            (B, D).

        Raises:
            ValueError: if the number of heads does not divide W.
        """
        batch, _, dim = x.shape
        width = self.width or dim
        if width % self.num_heads:
            raise ValueError(f"num_heads = {self.num_heads} does not divide the width of the features, {width}.")
        query = self.param("query", normal, (1, dim))
        scale = self.param("head_scale", nn.initializers.zeros, (width // self.num_heads,))
        scale = (jax.nn.softplus(scale) / np.log(2)).astype(self.dtype)  # softplus(0) = log 2

        def attend(query, key, value, mask):
            return backend.attention()(query * scale, key, value, mask=mask)

        query = jnp.broadcast_to(query.astype(self.dtype), (batch, 1, dim))
        attention = Attention(self.num_heads, attend=attend, dtype=self.dtype, width=width, name="attention")
        x = attention(query, x, mask_of_tokens(mask))  # (B, 1, D)
        return nn.LayerNorm(epsilon=1e-6, dtype=self.dtype, name="norm")(x[:, 0])


class AttentivePooler(nn.Module):
    """The pooler over frame features, dropout, and a linear classifier: it ignores the order of features.

    The features come from records, of any network, or from a 2-D network that is trained jointly.

    Attributes:
        num_classes: number of classes; 0 or None for no classifier.
        backbone: a network on single frames, without a classifier; None if the inputs are features.
        num_heads: number of heads; it divides D. VideoPrism has one per 64 channels.
        dropout: dropout rate of the pooled features, in training.
        dtype: dtype of the computation; parameters are float32.
    """

    num_classes: int | None = None
    backbone: nn.Module | None = None
    num_heads: int = 8
    dropout: float = 0.0
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, video=None, *, features=None, frame_mask=None, train=False):
        """Classifies clips.

        Args:
            video: (B, T, H, W, C), normalised float; or
            features: (B, T, D), float.
            frame_mask: (B, T), boolean or 0 and 1; frames with 0 are ignored.
            train: whether to use batch statistics and dropout.

        Returns:
            Logits (B, num_classes); without a classifier their inputs. Endpoints: those of the backbone, whose
            "features" are (B, T, D), and "pooled", (B, D).

        Raises:
            ValueError: unless exactly one of video and features is given; if the width of the features fits neither the
                parameters nor the heads, or a sequence has no valid frame (if the mask is known before compilation).
        """
        x, ends = frame_features(self.backbone, video, features, train=train, dtype=self.dtype)
        params = self.get_variable("params", "pooler")
        check_sequence(x, params and params["attention"]["value"], frame_mask)
        x = ends["pooled"] = Pooler(self.num_heads, self.dtype, name="pooler")(x, frame_mask)  # (B, D)
        if not self.num_classes:
            return x, ends
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(self.num_classes, dtype=self.dtype, name="classifier")(x), ends
