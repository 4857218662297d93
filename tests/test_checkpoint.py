import shutil
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vidjax.checkpoint import Checkpoints
from vidjax.step import TrainState


def state_of(value, ema=False, width=3):
    params = {"layer": {"kernel": jnp.full((2, width), value), "bias": jnp.full((width,), value)}}
    tx = optax.adam(0.1)
    stats = {"batch_stats": {"norm": {"mean": jnp.full((3,), value)}}}
    averaged = jax.tree.map(lambda x: x + 100, params) if ema else {}
    return TrainState(jnp.int32(value), params, stats, averaged, tx.init({"layer/kernel": params["layer"]["kernel"]}))


def abstract(state):
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state)


@pytest.fixture
def saved(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    for value in (1, 2, 3):
        checkpoints.save(state_of(float(value)), {"step": value, "seconds": 0.5})
    checkpoints.close()
    return tmp_path / "checkpoints"


def test_what_is_saved_is_restored(saved):
    checkpoints = Checkpoints(saved)
    assert checkpoints.steps() == [2, 3]  # the last two are kept
    state, position = checkpoints.restore(abstract(state_of(0.0)))
    assert position == {"step": 3, "seconds": 0.5}
    assert state.step == 3
    jax.tree.map(np.testing.assert_array_equal, state, state_of(3.0))
    state, _ = checkpoints.restore(abstract(state_of(0.0)), step=2)
    assert state.params["layer"]["bias"][0] == 2


def test_the_model_alone_needs_no_optimizer(saved):
    wanted = abstract(state_of(0.0))
    params, model_state, step = Checkpoints(saved, read_only=True).restore_model(wanted.params, wanted.model_state)
    assert step == 3
    assert params["layer"]["kernel"][0, 0] == 3
    assert model_state["batch_stats"]["norm"]["mean"][0] == 3


def test_the_averaged_parameters_are_preferred(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(state_of(1.0, ema=True), {"step": 1})
    checkpoints.wait()
    wanted = abstract(state_of(0.0))
    assert checkpoints.restore_model(wanted.params, wanted.model_state)[0]["layer"]["bias"][0] == 101


def test_another_model_is_refused_with_what_differs(saved):
    with pytest.raises(
        ValueError, match=r"of another model:\n(.*\n)*.*layer/bias: the model has \(4,\), the checkpoint \(3,\)"
    ):
        Checkpoints(saved).restore(abstract(state_of(0.0, width=4)))
    other = {"head": {"kernel": jax.ShapeDtypeStruct((2, 3), jnp.float32)}}
    with pytest.raises(ValueError, match="head/kernel: the model has .*, the checkpoint nothing"):
        Checkpoints(saved).restore_model(other, {})


def test_missing_checkpoints(saved, tmp_path):
    with pytest.raises(ValueError, match=r"No checkpoint of step 7 in .*; there are \[2, 3\]"):
        Checkpoints(saved).restore(abstract(state_of(0.0)), step=7)
    with pytest.raises(ValueError, match="No checkpoint in"):
        Checkpoints(tmp_path / "none", read_only=True)


def test_a_half_written_checkpoint_is_passed_over_and_cleared_by_the_run_alone(saved):
    half = saved / "4.orbax-checkpoint-tmp"
    shutil.copytree(saved / "3", half)
    assert Checkpoints(saved, read_only=True).steps() == [2, 3]
    assert half.exists()
    checkpoints = Checkpoints(saved)
    assert checkpoints.steps() == [2, 3]
    checkpoints.close()
    for _ in range(100):  # it is cleared in the background
        if not half.exists():
            break
        time.sleep(0.05)
    assert not half.exists()


def test_a_full_disk_leaves_the_checkpoint_before_good(tmp_path):
    """The disk is a file system of 4 MB where the test may mount one, else a limit on the size of files."""
    import resource
    import signal

    checkpoints = Checkpoints(tmp_path / "checkpoints")
    checkpoints.save(state_of(1.0), {"step": 1})
    checkpoints.wait()
    large = state_of(2.0).replace(params={"layer": {"kernel": jax.random.normal(jax.random.key(0), (1000, 1000))}})
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(Exception, match="(?i)too large|no space|failed|error"):
            checkpoints.save(large, {"step": 2})
            checkpoints.wait()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    fresh = Checkpoints(tmp_path / "checkpoints")
    assert fresh.steps() == [1]
    state, _ = fresh.restore(abstract(state_of(0.0)))
    jax.tree.map(np.testing.assert_array_equal, state, state_of(1.0))
