"""MViT: a transformer whose tokens become fewer and wider from stage to stage, by pooling inside the attention.

Fan et al., "Multiscale Vision Transformers" (ICCV 2021), https://arxiv.org/abs/2104.11227, and Li et al., "MViTv2:
Improved Multiscale Vision Transformers for Classification and Detection" (CVPR 2022), https://arxiv.org/abs/2112.01526,
as in torchvision's mvit_v1_b and mvit_v2_s.
"""

from functools import partial

import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from vidjax.models import backend
from vidjax.models.attention import MLP, drop_path, drop_path_rates, glorot, normal, resize_positions
from vidjax.models.layers import check_video, conv, depthwise, mask_of_steps, max_pool, torch_same, without_masked

Triple = tuple[int, int, int]


def pooled(grid: Triple, stride: int) -> Triple:
    """Return the grid after pooling with a window of 3 and a stride in space."""
    return grid[0], -(-grid[1] // stride), -(-grid[2] // stride)


def relative_places(queries: int, keys: int) -> np.ndarray:
    """Return the row of a table of relative positions for each query and key along an axis: int (queries, keys)."""
    of_query, of_key = max(keys / queries, 1), max(queries / keys, 1)
    distance = np.arange(queries)[:, None] * of_query - (np.arange(keys) + 1 - keys) * of_key
    return distance.astype(int)


class Pool(nn.Module):
    """A depthwise convolution of 3x3x3 over the tokens but the first, the same for each head, and a norm per head."""

    stride: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x, grid: Triple):
        """(B, 1 + N, heads, D) -> (B, 1 + N', heads, D)."""
        batch, _, heads, dim = x.shape
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (3, 3, 3, 1, dim))
        token, rest = x[:, :1], x[:, 1:].reshape(batch, *grid, heads * dim)
        kernel = jnp.broadcast_to(kernel.astype(self.dtype)[..., None, :], (3, 3, 3, 1, heads, dim))
        kernel = kernel.reshape(3, 3, 3, 1, heads * dim)
        rest = depthwise(rest, kernel, (1, self.stride, self.stride), padding=torch_same)
        x = jnp.concatenate([token, rest.reshape(batch, -1, heads, dim)], 1)
        return nn.LayerNorm(epsilon=1e-6, dtype=self.dtype, name="norm")(x)


class PoolingAttention(nn.Module):
    """Multi-head attention between pooled queries and pooled keys and values. Attributes: see `MViT` and `Block`."""

    dim: int
    num_heads: int
    stride: int
    key_stride: int
    positions: Triple
    version: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x, grid: Triple, mask=None):
        """(B, 1 + N, C) -> (B, 1 + N', dim); `mask`: (B, T'), the steps that are seen."""
        batch = x.shape[0]

        def dense(x, name):
            return nn.Dense(self.dim, kernel_init=glorot, dtype=self.dtype, name=name)(x)

        def heads(name):
            return dense(x, name).reshape(batch, x.shape[1], self.num_heads, -1)  # (B, 1 + N, heads, D)

        pool = partial(Pool, dtype=self.dtype)
        query, key, value = heads("query"), heads("key"), heads("value")
        if self.version == 2 or self.stride > 1:
            query = pool(self.stride, name="pool_query")(query, grid)
        key, value = (pool(self.key_stride, name=f"pool_{n}")(y, grid) for n, y in (("key", key), ("value", value)))
        of_query, of_key = pooled(grid, self.stride), pooled(grid, self.key_stride)
        seen = None
        if mask is not None:
            seen = jnp.repeat(jnp.asarray(mask).astype(bool), of_key[1] * of_key[2], axis=1)
            seen = jnp.pad(seen, ((0, 0), (1, 0)), constant_values=True)[:, None, None]  # (B, 1, 1, 1 + M)
        scaled, keys = query / query.shape[-1] ** 0.5, key
        if self.version == 2:  # products with relative positions are products of further channels
            scaled = jnp.concatenate([scaled, self.relative(query, of_query, of_key)], -1)
            keys = jnp.concatenate([key, self.places(key, of_key)], -1)
            value = jnp.pad(value, ((0, 0), (0, 0), (0, 0), (0, keys.shape[-1] - key.shape[-1])))
        y = backend.attention()(scaled, keys, value, mask=seen, scale=1.0)[..., : key.shape[-1]]
        if self.version == 2:  # the residual pooling of MViTv2, without the class token
            y = y + jnp.pad(query[:, 1:], ((0, 0), (1, 0), (0, 0), (0, 0)))
        return dense(y.reshape(batch, -1, self.dim), "out")

    def relative(self, query, of_query: Triple, of_key: Triple):
        """The products of each query with the relative positions: (B, 1 + N, heads, T' + H' + W' of the keys)."""
        batch, _, heads, dim = query.shape
        x, found = query[:, 1:].reshape(batch, *of_query, heads, dim), []
        names = ("time_positions", "height_positions", "width_positions")
        table_sizes = [max(n // self.stride, n // self.key_stride) for n in (max(self.positions[1:]),) * 2]
        for axis, (name, size) in enumerate(zip(names, (self.positions[0], *table_sizes), strict=True)):
            table = self.param(name, normal, (2 * size - 1, dim))
            table = resize_positions(table, (2 * max(of_query[axis], of_key[axis]) - 1,), "linear")
            rows = table[relative_places(of_query[axis], of_key[axis])].astype(self.dtype)  # (queries, keys, D)
            found.append(jnp.einsum(f"bthwnd,{'thw'[axis]}kd->bthwnk", x, rows))
        found = jnp.concatenate(found, -1).reshape(batch, -1, heads, sum(of_key))
        return jnp.pad(found, ((0, 0), (1, 0), (0, 0), (0, 0)))

    def places(self, key, of_key: Triple):
        """One-hot places of the keys in time, height and width: (B, 1 + M, heads, T' + H' + W')."""
        axes = np.meshgrid(*map(np.arange, of_key), indexing="ij")
        one_hot = np.concatenate([np.eye(n)[place.ravel()] for n, place in zip(of_key, axes, strict=True)], -1)
        one_hot = jnp.asarray(np.pad(one_hot, ((1, 0), (0, 0))), key.dtype)
        return jnp.broadcast_to(one_hot[None, :, None], (*key.shape[:3], one_hot.shape[-1]))


class Block(nn.Module):
    """Pooling attention and an MLP, each with a norm before it; the input is added, pooled and widened where needed.

    Attributes:
        inputs, features: channels of the inputs and of the outputs.
        stride, key_stride: strides in space of the queries, and of the keys and values.
        positions: the grid of tokens before the block at the published size, from which tables take their sizes.
        Others: see `MViT`.
    """

    inputs: int
    features: int
    num_heads: int
    stride: int
    key_stride: int
    positions: Triple
    version: int
    mlp_ratio: float
    drop_path: float
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x, grid: Triple, mask=None, train=False):
        """(B, 1 + N, inputs) -> (B, 1 + N', features)."""
        norm = partial(nn.LayerNorm, epsilon=1e-6, dtype=self.dtype)
        widen = partial(nn.Dense, self.features, kernel_init=glorot, dtype=self.dtype, name="widen")
        widens, dim = self.inputs != self.features, self.features if self.version == 2 else self.inputs
        y = norm(name="norm1")(x)
        arguments = dim, self.num_heads, self.stride, self.key_stride, self.positions, self.version, self.dtype
        attended = PoolingAttention(*arguments, name="attention")(y, grid, mask)
        if widens and self.version == 2:
            x = widen()(y)
        if self.stride > 1:
            rest = x[:, 1:].reshape(x.shape[0], *grid, x.shape[-1])
            stride = (1, self.stride, self.stride)
            rest = max_pool(rest, (1, self.stride + 1, self.stride + 1), stride, padding=torch_same)
            x = jnp.concatenate([x[:, :1], rest.reshape(x.shape[0], -1, x.shape[-1])], 1)
        x = x + drop_path(attended, self.drop_path, train)
        y = norm(name="norm2")(x)
        if widens and self.version == 1:
            x = widen()(y)
        mlp = MLP(round(dim * self.mlp_ratio), self.features, dtype=self.dtype, name="mlp")
        return x + drop_path(mlp(y), self.drop_path, train)


class MViT(nn.Module):
    """MViTv2-S by default. Or use `MViTv1B`.

    Attributes:
        num_classes: number of classes; 0 or None for no classifier.
        version: 2, with relative positions, residual pooling and wider queries, keys and values; or 1, with a table of
            positions in space and one in time.
        dims: channels per stage.
        depths: number of blocks per stage; the first of a stage halves height and width, but for the first stage.
        num_heads: number of heads per stage.
        key_strides: strides in space of keys and values per stage.
        positions: the grid of tokens at the published size; tables are resized for others (linear).
        mlp_ratio: hidden channels of the MLP / its inputs.
        drop_path: share of dropped branches in the last block, in training; it grows linearly from 0 in the first.
        dropout: dropout rate of the features before the classifier, in training.
        block: the blocks; `make_model(remat=True)` replaces them.
        dtype: dtype of the computation; parameters are float32.

    Raises:
        ValueError: on construction, for another version.
    """

    num_classes: int | None = None
    version: int = 2
    dims: tuple[int, ...] = (96, 192, 384, 768)
    depths: tuple[int, ...] = (1, 2, 11, 2)
    num_heads: tuple[int, ...] = (1, 2, 4, 8)
    key_strides: tuple[int, ...] = (8, 4, 2, 1)
    positions: Triple = (8, 56, 56)
    mlp_ratio: float = 4.0
    drop_path: float = 0.2
    dropout: float = 0.5
    block: type = Block
    dtype: jnp.dtype = jnp.float32

    def __post_init__(self):
        if self.version not in (1, 2):
            raise ValueError(f"MViT has no version {self.version}; choose 1 or 2.")
        super().__post_init__()

    @nn.compact
    def __call__(self, video, *, frame_mask=None, train=False):
        """Classifies clips.

        Args:
            video: (B, T, H, W, C), normalised float.
            frame_mask: (B, T), boolean or 0 and 1. Frames with 0 are set to zero, and the tokens of steps without a
                valid frame are not seen; convolutions over time still see them next to valid ones.
            train: whether to use dropout and drop path.

        Returns:
            Logits (B, num_classes); without a classifier, the features. Endpoints: "patches", "block0", ...
            (B, T', H', W', C), and "features" (B, 1, C), the class token after the last norm.

        Raises:
            ValueError: if the input is not a video, or its channels do not fit.
        """
        check_video(video, min_size=1, first=self.get_variable("params", "patches"))
        x = without_masked(video, frame_mask).astype(self.dtype)
        arguments = {"padding": torch_same, "use_bias": True, "dtype": self.dtype, "name": "patches"}
        x = conv(x, self.dims[0], (3, 7, 7), (2, 4, 4), **arguments)  # (B, T', H', W', C)
        ends, grid, mask = {"patches": x}, x.shape[1:4], mask_of_steps(frame_mask, 2)
        x = self.with_positions(x)  # (B, 1 + N, C)
        blocks = [stage for stage, depth in enumerate(self.depths) for _ in range(depth)]
        rates, at_published = drop_path_rates(self.drop_path, len(blocks)), self.positions
        for i, (stage, rate) in enumerate(zip(blocks, rates, strict=True)):
            before, after = (blocks[max(i - 1, 0)], blocks[min(i + 1, len(blocks) - 1)])
            widths = (before, stage) if self.version == 2 else (stage, after)  # version 1 widens in the MLP before
            stride = 2 if stage > before else 1
            strides = stride, self.key_strides[stage]
            sizes = self.num_heads[stage], *strides, at_published, self.version, self.mlp_ratio
            inputs, features = (self.dims[number] for number in widths)
            x = self.block(inputs, features, *sizes, rate, self.dtype, name=f"block{i}")(x, grid, mask, train)
            grid, at_published = pooled(grid, stride), pooled(at_published, stride)
            ends[f"block{i}"] = x[:, 1:].reshape(x.shape[0], *grid, features)
        x = nn.LayerNorm(epsilon=1e-6, dtype=self.dtype, name="norm")(x[:, 0])  # (B, C)
        ends["features"] = x[:, None]
        if not self.num_classes:
            return ends["features"], ends
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(self.num_classes, kernel_init=normal, dtype=self.dtype, name="classifier")(x), ends

    def with_positions(self, x):
        """Adds the class token and, in version 1, the positions: (B, T', H', W', C) -> (B, 1 + N, C)."""
        dim = x.shape[-1]
        token = self.param("class_token", normal, (dim,))
        if self.version == 1:
            frames, *size = self.positions
            in_time = resize_positions(self.param("time_positions", normal, (frames, dim)), x.shape[1:2], "linear")
            in_space = self.param("space_positions", normal, (size[0] * size[1], dim)).reshape(*size, dim)
            in_space = resize_positions(in_space, x.shape[2:4], "linear")
            x = x + (in_time[:, None, None] + in_space).astype(self.dtype)
            token = token + self.param("class_positions", normal, (dim,))
        token = jnp.broadcast_to(token.astype(self.dtype), (x.shape[0], 1, dim))
        return jnp.concatenate([token, x.reshape(x.shape[0], -1, dim)], 1)


MViTv1B = partial(MViT, version=1)
