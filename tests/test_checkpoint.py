import collections
import os
import shutil
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vidjax import sharding
from vidjax.checkpoint import Checkpoints, check_space
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


def test_save_and_restore(saved):
    checkpoints = Checkpoints(saved)
    assert checkpoints.steps() == [2, 3]  # the last two are kept
    state, position = checkpoints.restore(abstract(state_of(0.0)))
    assert position == checkpoints.position() == {"step": 3, "seconds": 0.5}
    assert state.step == 3
    jax.tree.map(np.testing.assert_array_equal, state, state_of(3.0))
    state, _ = checkpoints.restore(abstract(state_of(0.0)), step=2)
    assert state.params["layer"]["bias"][0] == 2


def test_a_restored_state_needs_no_second_compilation(saved):
    state = jax.device_put(jax.tree.map(np.asarray, state_of(0.0)), sharding.replicated(sharding.make_mesh()))
    program = jax.jit(lambda state: state)
    program(state)
    program(Checkpoints(saved).restore(abstract(state))[0])
    assert program._cache_size() == 1


def test_restoring_the_model_needs_no_optimizer(saved):
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


def test_another_model_is_refused_with_the_differences(saved):
    with pytest.raises(
        ValueError, match=r"of another model:\n(.*\n)*.*layer/bias: the model has \(4,\), the checkpoint \(3,\)"
    ):
        Checkpoints(saved).restore(abstract(state_of(0.0, width=4)))
    other = {"head": {"kernel": jax.ShapeDtypeStruct((2, 3), jnp.float32)}}
    with pytest.raises(ValueError, match="head/kernel: the model has .*, the checkpoint nothing"):
        Checkpoints(saved).restore_model(other, {})


def test_missing_checkpoints(saved, tmp_path):
    with pytest.raises(ValueError, match=r"No checkpoint of step 7 in .*; choose one of \[2, 3\]"):
        Checkpoints(saved).restore(abstract(state_of(0.0)), step=7)
    with pytest.raises(ValueError, match="No checkpoint in"):
        Checkpoints(tmp_path / "none", read_only=True)


def test_an_incomplete_checkpoint_is_skipped_and_only_the_run_removes_it(saved):
    half = saved / "4.orbax-checkpoint-tmp"
    shutil.copytree(saved / "3", half)
    assert Checkpoints(saved, read_only=True).steps() == [2, 3]
    assert half.exists()
    checkpoints = Checkpoints(saved)
    assert checkpoints.steps() == [2, 3]
    assert checkpoints.partial == ["4.orbax-checkpoint-tmp"]
    checkpoints.close()
    for _ in range(100):  # removal runs in the background
        if not half.exists():
            break
        time.sleep(0.05)
    assert not half.exists()


def test_a_checkpoint_that_is_still_written_is_not_incomplete(tmp_path):
    """As if the run had failed after `save`, and its command was started again."""
    failed = Checkpoints(tmp_path)
    failed.save(state_of(1.0), {"step": 1})
    again = Checkpoints(tmp_path)
    assert again.partial == [] and again.steps() == [1]


def test_a_process_that_fails_writes_its_checkpoint_and_reports_only_its_error(tmp_path):
    code = f"""if True:
        from tests.test_checkpoint import Checkpoints, state_of
        Checkpoints({str(tmp_path)!r}).save(state_of(1.0), {{"step": 1}})
        raise ValueError("the cause")"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.returncode == 1 and found.stderr.endswith("ValueError: the cause\n")
    assert Checkpoints(tmp_path, read_only=True).steps() == [1]


def test_a_full_disk_leaves_the_previous_checkpoint_complete(tmp_path):
    """A limit on file sizes stands in for the full disk."""
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
        message = r"could not be written to (.*\n)*The last complete checkpoint is of step 1. Fix the problem"
        with pytest.raises(OSError, match=message):
            checkpoints.save(large, {"step": 2})
            checkpoints.wait()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    fresh = Checkpoints(tmp_path / "checkpoints")
    assert fresh.steps() == [1]
    state, _ = fresh.restore(abstract(state_of(0.0)))
    jax.tree.map(np.testing.assert_array_equal, state, state_of(1.0))


def files_of(checkpoint):
    return sorted(path for path in checkpoint.rglob("*") if path.is_file() and path.stat().st_size)


def test_a_flipped_bit_is_found(tmp_path):
    """One in each file of a checkpoint: either the restored state is right, or an error says that it is damaged."""
    state = state_of(1.0)
    state = state.replace(params={"layer": {"kernel": jax.random.normal(jax.random.key(0), (200, 100))}})
    checkpoints = Checkpoints(tmp_path / "good")
    checkpoints.save(state, {"step": 1})
    checkpoints.close()
    found = 0
    for i, path in enumerate(files_of(tmp_path / "good/1")):
        bad = tmp_path / f"bad_{i}"
        shutil.copytree(tmp_path / "good", bad)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 4
        (bad / path.relative_to(tmp_path / "good")).write_bytes(data)
        try:
            restored, _ = Checkpoints(bad, read_only=True).restore(abstract(state))
        except ValueError as error:
            found += "The checkpoint of step 1 in" in str(error) and "is damaged" in str(error)
        else:
            jax.tree.map(np.testing.assert_array_equal, restored, state)
    assert found > 5


def test_a_flipped_bit_in_the_parameters_names_them(tmp_path):
    state = state_of(1.0).replace(params={"layer": {"kernel": jax.random.normal(jax.random.key(0), (200, 100))}})
    checkpoints = Checkpoints(tmp_path)
    for number in (1, 2):
        checkpoints.save(state, {"step": number})
    checkpoints.close()
    largest = max(files_of(tmp_path / "2"), key=lambda path: path.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 1
    largest.write_bytes(data)
    message = "is damaged .*the checksum of params layer/kernel does not match\n.*remove .*/2 to continue from step 1"
    wanted = abstract(state)
    with pytest.raises(ValueError, match=message):
        Checkpoints(tmp_path).restore(wanted)
    with pytest.raises(ValueError, match=message):
        Checkpoints(tmp_path, read_only=True).restore_model(wanted.params, wanted.model_state)


def test_a_directory_that_cannot_be_written_to(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="file is not a writable directory"):
        Checkpoints(tmp_path / "file" / "checkpoints")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    with pytest.raises(ValueError, match=f"Checkpoints cannot be written to .*: {tmp_path} is not a writable"):
        Checkpoints(tmp_path / "checkpoints")


@pytest.mark.parametrize(
    ("steps", "total", "free", "needed"),
    [
        ([], 100, 2, 3),
        ([], 100, 3, 0),
        ([10, 20], 100, 0.5, 1),
        ([10, 20], 100, 1, 0),
        ([], 15, 1, 2),
        ([90, 100], 100, 0, 0),
    ],
)
def test_space_for_checkpoints(steps, total, free, needed, tmp_path, monkeypatch):
    """A checkpoint of 1 GiB every 10 steps; two are kept, and a third exists while it is written."""
    usage = collections.namedtuple("usage", "free")(int(free * 2**30))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    state = {"params": jax.ShapeDtypeStruct((2**27,), np.float32), "ema": jax.ShapeDtypeStruct((2**28,), np.float16)}
    if not needed:
        check_space(tmp_path, state, steps, total, every=10)
        return
    with pytest.raises(ValueError, match=f"need {needed} x 1.00 GiB in .*, where {free:.2f} GiB are free"):
        check_space(tmp_path, state, steps, total, every=10)
