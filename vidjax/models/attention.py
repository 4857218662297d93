"""What transformers share: patches, multi-head attention, the MLP, the pre-norm block, drop path, positions.

Tokens are (B, N, D). Vaswani et al., "Attention Is All You Need" (2017), https://arxiv.org/abs/1706.03762; the block is
that of Dosovitskiy et al., "An Image Is Worth 16x16 Words" (2021), https://arxiv.org/abs/2010.11929.
"""

from collections.abc import Callable
from functools import partial

import einops
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from vidjax.models import backend

# Of tables and classifiers. With 0.02 for all layers, as in most originals, networks of few channels learn late: 96
# channels need 0.1, which Glorot's initialisation gives, and ViT-B's 768 need 0.03
normal = nn.initializers.truncated_normal(0.02)
glorot = nn.initializers.xavier_uniform()


@jax.custom_vjp
def gelu(x: jax.Array) -> jax.Array:
    """The exact GELU, x Phi(x). Its gradient keeps x only; an MLP's gradient takes two thirds of the time on CPUs.

    Hendrycks and Gimpel, "Gaussian Error Linear Units" (2016), https://arxiv.org/abs/1606.08415.
    """
    return nn.gelu(x, approximate=False)


def _gelu_backward(x, gradient):
    precise = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    below = 0.5 * (1 + jax.lax.erf(precise * 2**-0.5))  # Phi, the share of a normal distribution below x
    density = jnp.exp(-0.5 * precise**2) * (2 * np.pi) ** -0.5
    return (gradient * (below + precise * density).astype(gradient.dtype),)


gelu.defvjp(lambda x: (gelu(x), x), _gelu_backward)


class Patches(nn.Module):
    """A linear map of each patch, of a frame or of a video: a convolution whose stride is its kernel.

    Attributes:
        features: width of the tokens.
        patch: (height, width) for each frame separately, or (time, height, width).
        use_bias: whether to add a bias.
    """

    features: int
    patch: tuple[int, ...]
    use_bias: bool = True
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, video):
        """(B, T, H, W, C) -> (B, T / time, H / height, W / width, features); T is rounded down to full patches.

        Raises:
            ValueError: if the video is shorter than a patch, or its frames do not divide into patches.
        """
        time, height, width = (1, *self.patch)[-3:]
        if video.shape[1] < time or video.shape[2] % height or video.shape[3] % width:
            raise ValueError(
                f"Patches of {time} frames of {height}x{width} do not fit a video of the shape {video.shape}: give at "
                f"least {time} frames, of a height that is a multiple of {height} and a width that is one of {width}."
            )
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (*self.patch, video.shape[-1], self.features))
        video = video[:, : video.shape[1] // time * time].astype(self.dtype)
        sizes = {"t": time, "h": height, "w": width}
        x = einops.rearrange(video, "b (n t) (i h) (j w) c -> b n i j (t h w c)", **sizes)
        x = x @ kernel.reshape(-1, self.features).astype(self.dtype)
        if self.use_bias:
            x = x + self.param("bias", nn.initializers.zeros, (self.features,)).astype(self.dtype)
        return x


class Attention(nn.Module):
    """Multi-head attention: every token of a sequence sees all tokens of the same, or of another, sequence.

    The parts are `query`, `key`, `value` and `out`, each a Dense layer.

    Attributes:
        num_heads: number of heads; it divides the width W.
        biases: which of the parts have a bias.
        attend: (query (B, N, H, W / H), key, value (B, M, H, W / H), mask) -> (B, N, H, W / H).
        dtype: dtype of the computation; the softmax is computed in float32.
        width: width of the queries, keys and values of all heads, W; None for D.
    """

    num_heads: int
    biases: tuple[str, ...] = ("query", "key", "value", "out")
    attend: Callable = lambda query, key, value, mask: backend.attention()(query, key, value, mask=mask)
    dtype: jnp.dtype = jnp.float32
    width: int | None = None

    @nn.compact
    def __call__(self, x, context=None, mask=None):
        """Attends.

        Args:
            x: (B, N, D), the source of the queries.
            context: (B, M, C), the source of keys and values; None for x itself.
            mask: bool, broadcast to (B, num_heads, N, M); false where a query does not see a key. None: all see all.

        Returns:
            (B, N, D).
        """
        shape, context = x.shape, x if context is None else context
        width = self.width or shape[-1]

        def dense(x, width, name):  # (..., D) -> (B N, W): XLA on CPUs copies tokens of three axes in the gradient
            settings = {"use_bias": name in self.biases, "kernel_init": glorot, "dtype": self.dtype, "name": name}
            return nn.Dense(width, **settings)(x.reshape(-1, x.shape[-1]))

        def heads(x, name):
            return dense(x, width, name).reshape(*x.shape[:-1], self.num_heads, -1)  # (B, N, H, W / H)

        x = self.attend(heads(x, "query"), heads(context, "key"), heads(context, "value"), mask)  # (B, N, H, W / H)
        return dense(x.reshape(*shape[:-1], width), shape[-1], "out").reshape(shape)


class MLP(nn.Module):
    """Two Dense layers with an activation between them: `fc1` and `fc2`.

    Attributes:
        hidden: width between the two.
        features: width of the outputs; None keeps that of the inputs.
    """

    hidden: int
    features: int | None = None
    activation: Callable = gelu
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x):
        """(..., D) -> (..., features)."""
        features, before = self.features or x.shape[-1], x.shape[:-1]
        x = x.reshape(-1, x.shape[-1])  # XLA on CPUs copies tokens of three axes in the gradient
        x = self.activation(nn.Dense(self.hidden, kernel_init=glorot, dtype=self.dtype, name="fc1")(x))
        return nn.Dense(features, kernel_init=glorot, dtype=self.dtype, name="fc2")(x).reshape(*before, features)


class Block(nn.Module):
    """Attention and MLP, each with a norm before it and its input added: x + f(norm(x)).

    Attributes:
        num_heads, biases: see `Attention`.
        mlp_ratio: hidden width of the MLP / D.
        drop_path: see `drop_path`.
        epsilon: of the norms.
        activation: of the MLP.
        attend: see `Attention`.
    """

    num_heads: int
    mlp_ratio: float = 4.0
    drop_path: float = 0.0
    epsilon: float = 1e-6
    biases: tuple[str, ...] = ("query", "key", "value", "out")
    activation: Callable = gelu
    attend: Callable = Attention.attend
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, mask=None, train=False):
        """(B, N, D) -> (B, N, D); mask: see `Attention`."""
        norm = partial(nn.LayerNorm, epsilon=self.epsilon, dtype=self.dtype)
        attention = Attention(self.num_heads, self.biases, self.attend, self.dtype, name="attention")
        mlp = MLP(round(x.shape[-1] * self.mlp_ratio), activation=self.activation, dtype=self.dtype, name="mlp")
        x = x + drop_path(attention(norm(name="norm1")(x), mask=mask), self.drop_path, train)
        return x + drop_path(mlp(norm(name="norm2")(x)), self.drop_path, train)


def drop_path(x: jax.Array, rate: float, train: bool) -> jax.Array:
    """Drop a whole branch for some examples of the batch, and scale it for the others. Call it in a compact method.

    Huang et al., "Deep Networks with Stochastic Depth" (2016), https://arxiv.org/abs/1603.09382.

    Args:
        x: (B, ...), the outputs of the branch.
        rate: the share of examples to drop, in training.
    """
    return nn.Dropout(rate, broadcast_dims=tuple(range(1, x.ndim)), deterministic=not train)(x)


def drop_path_rates(highest: float, depth: int) -> list[float]:
    """Return one rate per block, from 0 to `highest`: the deeper, the higher."""
    return np.linspace(0, highest, depth).tolist()


def mask_of_tokens(mask: jax.Array | None) -> jax.Array | None:
    """The mask of `Attention` in which padding is not seen: (B, N), boolean or 0 and 1 -> bool (B, 1, 1, N)."""
    return None if mask is None else jnp.asarray(mask).astype(bool)[:, None, None]


# --- Positions -------------------------------------------------------------------------------------------------------


class Positions(nn.Module):
    """A learned class token before the tokens, and a learned table of positions that is added to all of them.

    Attributes:
        grid: the grid of the table, such as (14, 14), or (16, 14, 14) over time too.
        method: how the table is resized to another grid, see `resize_positions`.
    """

    grid: tuple[int, ...]
    method: str
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x):
        """(B, *grid of the input, D) -> (B, 1 + N, D)."""
        token = self.param("class_token", nn.initializers.zeros, (x.shape[-1],))
        table = self.param("positions", normal, (1 + int(np.prod(self.grid)), x.shape[-1]))
        resized = resize_positions(table[1:].reshape(*self.grid, -1), x.shape[1:-1], self.method)
        x = x + resized.astype(self.dtype)
        first = jnp.broadcast_to((token + table[0]).astype(self.dtype), (x.shape[0], 1, x.shape[-1]))
        return jnp.concatenate([first, x.reshape(x.shape[0], -1, x.shape[-1])], 1)


def sinusoids(length: int, width: int) -> np.ndarray:
    """The table of Vaswani et al. (2017), section 3.5: float32 (length, width), sines at even entries, cosines at odd.

    Entry j of position p is the sine or cosine of p / 10000^(2 floor(j / 2) / width).
    """
    angles = np.arange(length)[:, None] / 10000 ** (2 * (np.arange(width) // 2) / width)
    return np.where(np.arange(width) % 2, np.cos(angles), np.sin(angles)).astype(np.float32)


def resize_positions(table: jax.Array, size: tuple[int, ...], method: str) -> jax.Array:
    """Resize a table of positions, so that a network takes another number of frames or another size.

    Args:
        table: (*old size, D).
        size: the new size of each axis but the last.
        method: "nearest", "linear" or "cubic", as in PyTorch's `interpolate` with `align_corners=False`.

    Returns:
        (*size, D); the table itself if the size is the same.
    """
    for axis, (old, new) in enumerate(zip(table.shape[:-1], size, strict=True)):
        if old != new:
            weights = jnp.asarray(resize_weights(old, new, method), table.dtype)  # (new, old)
            table = jnp.moveaxis(jnp.tensordot(weights, table, (1, axis)), 0, axis)
    return table


def resize_weights(old: int, new: int, method: str) -> np.ndarray:
    """The share of each old entry in each new one: float64 (new, old), rows sum to 1; see `resize_positions`."""
    if method == "nearest":
        return np.eye(old)[np.arange(new) * old // new]
    centre = np.maximum((np.arange(new) + 0.5) * old / new - 0.5, 0 if method == "linear" else -np.inf)
    weights, first = np.zeros((new, old)), np.floor(centre).astype(int)
    for shift in (0, 1) if method == "linear" else (-1, 0, 1, 2):
        distance = np.abs(first + shift - centre)
        share = 1 - distance if method == "linear" else _cubic(distance)
        np.add.at(weights, (np.arange(new), np.clip(first + shift, 0, old - 1)), share)
    return weights


def _cubic(x: np.ndarray, a: float = -0.75) -> np.ndarray:
    """The kernel of Keys (1981) at distances x in [0, 2], with PyTorch's constant."""
    near, far = ((a + 2) * x - (a + 3)) * x**2 + 1, ((x - 5) * x + 8) * x * a - 4 * a
    return np.where(x <= 1, near, far)
