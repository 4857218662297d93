import functools
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.models import cpu_attention


@pytest.mark.parametrize("kind", ["plain", "bias", "tokens", "pairs", "bias and pairs"])
def test_attention_by_head_equals_attention(kind, monkeypatch):
    """Outputs and gradients; the mask hides all keys of one query."""
    monkeypatch.setattr(cpu_attention, "MANY_PAIRS", 0)
    draw = np.random.default_rng(0)
    query, key, value = (jnp.asarray(draw.normal(size=(2, n, 3, 4)), jnp.float32) for n in (5, 7, 7))
    bias = jnp.asarray(draw.normal(size=(1, 3, 5, 7)), jnp.float32) if "bias" in kind else None
    mask = None
    if kind == "tokens":
        mask = jnp.asarray(draw.random((2, 1, 1, 7)) < 0.5)
    if "pairs" in kind:
        mask = jnp.asarray(draw.random((2, 1, 5, 7)) < 0.5).at[0, 0, 2].set(False)

    def loss(attend, query, key, value, bias):
        outputs = attend(query, key, value, bias, mask)
        return (outputs**2).sum(), outputs

    of = (0, 1, 2) if bias is None else (0, 1, 2, 3)
    ours, theirs = (
        jax.jit(jax.grad(functools.partial(loss, attend), of, has_aux=True))(query, key, value, bias)
        for attend in (cpu_attention.attention_by_head, jax.nn.dot_product_attention)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), ours, theirs)


ON_8_DEVICES = """
import jax, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from vidjax.models import cpu_attention

rng = np.random.default_rng(0)
arrays = [rng.normal(size=(16, 130, 2, 4)).astype(np.float32) for _ in range(3)]
by_row = NamedSharding(Mesh(jax.devices(), "data"), PartitionSpec("data"))
attend = jax.jit(cpu_attention.attention_by_head, in_shardings=by_row, out_shardings=by_row).lower(*arrays).compile()
np.testing.assert_allclose(attend(*jax.device_put(arrays, by_row)), jax.nn.dot_product_attention(*arrays), atol=1e-5)
text = attend.as_text()
print(jax.device_count(), "while" in text, "all-gather" in text or "all-reduce" in text)
"""


def test_each_device_attends_to_its_own_rows():
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    environment = {**os.environ, "XLA_FLAGS": flags}
    run = [sys.executable, "-c", ON_8_DEVICES]
    found = subprocess.run(run, env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["8", "True", "False"]
