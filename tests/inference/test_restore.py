import json

import numpy as np
import pytest

from vidjax import models
from vidjax.data import clips
from vidjax.inference import restore

SPEC = {"mean": [127.5] * 3, "std": [127.5] * 3}


@pytest.fixture(scope="module")
def run(tiny_run):
    return restore.from_run(tiny_run.workdir)


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
