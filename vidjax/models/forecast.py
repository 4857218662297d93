"""Networks that forecast a time series from a window: recurrent, convolutional-recurrent, ConvLSTM and TCN.

Inputs and forecasts are relative to the last value of the window: the network forecasts changes, so that forecasts can
leave the range of the training data. Zeng et al., "Are Transformers Effective for Time Series Forecasting?" (AAAI
2023), https://arxiv.org/abs/2205.13504, section 4, NLinear.
"""

import einops
import jax
import jax.numpy as jnp
from flax import linen as nn

from vidjax.models.conv_lstm import ConvLSTM
from vidjax.models.recurrent import check_cell, check_sequence, recurrent_stack
from vidjax.models.tcn import TCN

KINDS = ("rnn", "cnn_rnn", "conv_lstm", "tcn")


class Forecaster(nn.Module):
    """A network that forecasts the next values of a time series from a window of values.

    Attributes:
        num_classes: H, the number of values to forecast; 0 or None to return the inputs of the last layer.
        kind: "rnn" (recurrent layers over the values), "cnn_rnn" (a convolution and maximum within each piece of the
            window, then recurrent layers over the pieces), "conv_lstm" (a ConvLSTM over the pieces, each a row of
            values), or "tcn" (causal, dilated).
        cell, num_layers, bidirectional: settings of the recurrent layers; see `recurrent.recurrent_stack`.
        hidden: size of each layer's output.
        pieces: number of pieces of the window for "cnn_rnn" and "conv_lstm". If the window length is not a multiple,
            the oldest values are dropped.
        dropout: dropout rate of the last layer's inputs, in training.
        dtype: dtype of the computation; parameters are float32.

    Raises:
        ValueError: on construction, for an unknown kind or cell.
    """

    num_classes: int | None = None
    kind: str = "rnn"
    cell: str = "lstm"
    num_layers: int = 1
    bidirectional: bool = False
    hidden: int = 64
    pieces: int = 3
    dropout: float = 0.0
    dtype: jnp.dtype = jnp.float32

    def __post_init__(self):
        check_cell(self.cell, self.num_layers)
        if self.kind not in KINDS:
            raise ValueError(f"Unknown kind of forecast {self.kind!r}; choose one of {', '.join(KINDS)}.")
        super().__post_init__()

    @nn.compact
    def __call__(self, features, *, train=False):
        """Forecast the values that follow the window.

        Args:
            features: (B, T, 1), float, oldest value first.
            train: whether to use dropout.

        Returns:
            The next H values (B, H), in the unit of the input, float32 or better. Endpoint: "features" (B, hidden), or
            (B, 2 hidden) if bidirectional.

        Raises:
            ValueError: if the width is not 1, or the window is shorter than `pieces`.
        """
        check_sequence(features)
        if features.shape[-1] != 1:
            raise ValueError(f"A series is (batch, time, 1); got the shape {features.shape}.")
        features = features.astype(jnp.promote_types(self.dtype, jnp.float32))
        last = features[:, -1]  # (B, 1)
        x = (features - last[:, None]).astype(self.dtype)  # (B, T, 1)
        layers = {"features": self.hidden, "cell": self.cell, "num_layers": self.num_layers, "dtype": self.dtype}
        layers["bidirectional"] = self.bidirectional
        if self.kind == "rnn":
            _, x = recurrent_stack(x, **layers)  # (B, hidden)
        elif self.kind == "cnn_rnn":
            x = self._in_pieces(x)  # (B, P, n, 1)
            x = nn.relu(nn.Conv(self.hidden, (3,), dtype=self.dtype, name="conv")(x)).max(2)  # (B, P, hidden)
            _, x = recurrent_stack(x, **layers)
        elif self.kind == "conv_lstm":
            x = self._in_pieces(x)[:, :, None]  # (B, P, 1, n, 1): frames of one row
            _, (_, x) = ConvLSTM(self.hidden, dtype=self.dtype, name="conv_lstm")(x)  # (B, 1, n, hidden)
            x = nn.relu(nn.Dense(self.hidden, dtype=self.dtype, name="row")(x.reshape(x.shape[0], -1)))  # (B, hidden)
        else:
            num_blocks = max(1, (x.shape[1] - 1).bit_length() - 1)  # the receptive field covers the window
            channels = (self.hidden,) * num_blocks
            x = TCN(channels, dtype=self.dtype, name="tcn")(x)[:, -1]  # (B, hidden)
        ends = {"features": x}
        if not self.num_classes:
            return x, ends
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return last + nn.Dense(self.num_classes, dtype=self.dtype, name="forecast")(x), ends  # (B, H)

    def _in_pieces(self, x: jax.Array) -> jax.Array:
        """(B, T, 1) -> (B, pieces, T / pieces, 1)."""
        if x.shape[1] < self.pieces:
            raise ValueError(f"A window of {x.shape[1]} values is not cut into {self.pieces} pieces.")
        x = x[:, x.shape[1] % self.pieces :]
        return einops.rearrange(x, "b (p n) c -> b p n c", p=self.pieces)
