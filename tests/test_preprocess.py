import sys

import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from configs.common import data
from vidjax import flow
from vidjax.preprocess import preprocess, sees_flow


def test_flow_is_computed_from_frames_or_read_from_the_batch():
    frames = np.random.default_rng(0).uniform(0, 255, (1, 3, 16, 16, 3)).astype(np.uint8)
    spec = {**flow.NORMALISED, "flow": "lucas_kanade"}
    seen = preprocess({"video": frames, "weight": 1}, spec)
    assert seen["video"].shape == (1, 2, 16, 16, 2) and seen["weight"] == 1
    pixels = flow.of_video(frames, "lucas_kanade")
    np.testing.assert_allclose(seen["video"], np.clip(pixels / 20, -1, 1), atol=1e-5)
    stored = np.rint(flow.to_levels(pixels)).astype(np.uint8)
    for batch in ({"flow": stored}, {"video": stored}):  # from records; from features and predict
        np.testing.assert_allclose(preprocess(batch, spec)["video"], seen["video"], atol=0.5 / 127.5 + 1e-5)
    with pytest.raises(ValueError, match="needs two frames"):
        preprocess({"video": frames[:, :1]}, spec)


def test_a_network_of_three_channels_sees_frames_and_flow_side_by_side():
    frames = np.random.default_rng(0).integers(0, 255, (1, 3, 16, 16, 3), np.uint8)
    computed = preprocess({"video": frames}, {**data.IMAGENET, "flow": "farneback"})
    np.testing.assert_array_equal(computed["video"], preprocess({"video": frames}, data.IMAGENET)["video"])
    alone = preprocess({"video": frames}, {**flow.NORMALISED, "flow": "farneback"})["video"]
    np.testing.assert_array_equal(computed["flow"], alone)
    levels = np.full((1, 3, 16, 16, 2), 255, np.uint8)
    stored = preprocess({"video": frames, "flow": levels}, {**data.IMAGENET, "flow": ""}, jnp.bfloat16)
    assert stored["flow"].dtype == stored["video"].dtype == jnp.bfloat16
    np.testing.assert_array_equal(stored["flow"], 1)
    assert [sees_flow(spec) for spec in (data.IMAGENET, flow.NORMALISED, {**data.IMAGENET, "flow": ""})] == [0, 1, 1]


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
