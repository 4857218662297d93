import functools
import json

import jax
import numpy as np
import pytest
from flax import traverse_util

from vidjax import models, optimizer, sharding, step
from vidjax.data import clips
from vidjax.inference import restore, start_from

SPEC = {"mean": [127.5] * 3, "std": [127.5] * 3}
BLANK = clips.blank_batch({}, {"num_frames": 2, "size": 32}, 1)


def fresh(model, ema_decay=0.0, batch=BLANK):
    tx = optimizer.make_optimizer("sgd", optimizer.make_schedule("constant", learning_rate=1.0, total_steps=1))
    make = functools.partial(step.init_state, 7, batch, model=model, spec=SPEC, tx=tx, ema_decay=ema_decay)
    return jax.jit(make, out_shardings=sharding.replicated(sharding.make_mesh()))()


def flat(state):
    return traverse_util.flatten_dict({"params": state.params, **state.model_state}, sep="/")


@pytest.fixture(scope="module")
def run(tiny_run):
    return restore.from_run(tiny_run.workdir)


def start(tiny_run, model, labels, **changes):
    state = fresh(model, **changes)
    started = start_from.start_from(str(tiny_run.workdir), state, model=model, batch=BLANK, spec=SPEC, labels=labels)
    return state, started


def test_a_run_is_restored_with_all_that_its_use_needs(run, tiny_run):
    assert run.step == 3 and run.name == f"{tiny_run.workdir}, step 3"
    assert run.clip == {"num_frames": 4, "frame_stride": 2, "size": 40, "resize": 40, "sampling": "clip"}
    assert run.inputs == {"fps": 0.0, "short_side": 48}
    assert (len(run.labels), run.multi_label) == (8, False)
    json.dumps([run.preprocess, run.clip, run.inputs])
    np.testing.assert_allclose(run.probabilities(np.zeros((2, 8))), 1 / 8)


def test_the_classifier_depends_on_the_number_of_classes():
    batch = clips.blank_batch({}, {"num_frames": 8, "size": 32}, 1)
    paths = restore.classifier_paths(models.make_model("i3d", 3, width=0.0625), batch, SPEC)
    assert paths == {f"params/Logits/Conv3d_0c_1x1/conv_3d/{name}" for name in ("kernel", "bias")}
    paths = restore.classifier_paths(models.make_model("resnet18", 3, width=0.0625), batch, SPEC)
    assert paths == {"params/fc/kernel", "params/fc/bias"}


def test_no_work_directory(tmp_path):
    with pytest.raises(ValueError, match="it has no config.json"):
        restore.from_run(tmp_path)
