import sys

import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from configs.common import data
from vidjax.preprocess import preprocess


def test_inception_convention_maps_0_and_255_to_minus_one_and_one():
    video = jnp.array([0, 255], jnp.uint8).reshape(1, 1, 1, 2, 1) * jnp.ones(3, jnp.uint8)
    out = preprocess({"video": video}, data.MINUS_ONE_TO_ONE)["video"]
    np.testing.assert_array_equal(out[0, 0, 0], [[-1] * 3, [1] * 3])


def test_imagenet_convention_is_that_of_torchvision():
    # torchvision: (x / 255 - mean) / std with mean 0.485, 0.456, 0.406 and std 0.229, 0.224, 0.225
    out = preprocess({"video": jnp.full((1, 1, 1, 1, 3), 128, jnp.uint8)}, ConfigDict(data.IMAGENET))["video"]
    expected = (128 / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose(out.ravel(), expected, rtol=1e-5)


def test_dtype_and_other_inputs():
    inputs = {"video": jnp.zeros((1, 1, 2, 2, 3), jnp.uint8), "frame_mask": jnp.ones((1, 1))}
    out = preprocess(inputs, data.MINUS_ONE_TO_ONE, jnp.bfloat16)
    assert out["video"].dtype == jnp.bfloat16
    assert out["frame_mask"] is inputs["frame_mask"]
    assert preprocess({"features": inputs["frame_mask"]}, data.IMAGENET).keys() == {"features"}


def test_the_model_side_needs_no_input_libraries():
    import subprocess

    code = "import sys, vidjax.step, vidjax.models, vidjax.losses, vidjax.sharding; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"tensorflow", "grain", "av", "cv2", "torch", "sklearn"} & set(loaded)
