import jax
import jax.numpy as jnp
import pytest

from vidjax.models import MODELS, make_model

# Of these the width is that of a network within them
ARGUMENTS = {name: {} for name in ("frame_pool", "frame_rnn", "skip_rnn", "conv_lstm", "tcn")}
ARGUMENTS["clip_rnn"] = {"clip_frames": 17, "network": "r3d_18"}


@pytest.mark.parametrize("name", sorted(set(MODELS) - {"forecaster", "captioner"}))  # those see other inputs
def test_every_model_keeps_the_contract(name):
    model = make_model(name, 7, dtype="bfloat16", **ARGUMENTS.get(name, {"width": 0.125}))
    video = jnp.zeros((2, 17, 64, 64, 3), jnp.bfloat16)
    variables = jax.eval_shape(model.init, jax.random.key(0), video)
    outputs, ends = jax.eval_shape(lambda v: model.apply(v, video, frame_mask=jnp.ones((2, 17))), variables)
    assert outputs.shape == (2, 7) and outputs.dtype == jnp.bfloat16
    steps = {
        "i3d": 2,
        "s3d": 1,
        "r3d_18": 3,
        "r3d_34": 3,
        "r2plus1d_18": 3,
        "r2plus1d_34": 3,
        "c3d": 2,
        "vgg16_3d": 1,
        "fusion": 1,
        "clip_rnn": 1,
    }
    assert ends["features"].shape[:2] == (2, steps.get(name, 17))
    assert {x.dtype for x in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}


def test_unknown_names_and_arguments_are_listed():
    with pytest.raises(ValueError, match="Unknown model 'i4d'; choose one of alexnet, .*resnet18"):
        make_model("i4d", 7)
    with pytest.raises(ValueError, match="The model i3d has no argument wide; valid ones are .*width, dropout"):
        make_model("i3d", 7, wide=2)
    with pytest.raises(ValueError, match="The model resnet18 has no argument block"):
        make_model("resnet18", 7, block=None)
