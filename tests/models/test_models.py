import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.networks import two_streams
from vidjax.models import FLOW_NETWORKS, MODELS, inputs_of, make_model, needs_flow, sees_both

# Of these the width is that of a network within them
NARROW = {"name": "resnet18", "width": 1 / 16}
ON_FRAMES = ("frame_pool", "attentive_pooler", "frame_rnn", "skip_rnn", "tcn", "ms_tcn", "asformer", "tsm")
ARGUMENTS = {name: {"backbone": NARROW} for name in ON_FRAMES}
ARGUMENTS["conv_lstm"] = {}
ARGUMENTS |= {name: {} for name, network in MODELS.items() if "mlp_ratio" in inspect.signature(network).parameters}
ARGUMENTS |= {name: {} for name in ("clip_b32", "clip_b16", "clip_l14", "videoprism_lvt_b")}
ARGUMENTS |= {name: {"width_factor": 0.5} for name in MODELS if name.startswith("x3d")}
ARGUMENTS["clip_rnn"] = {"clip_frames": 17, "network": {"name": "r3d_18", "width": 1 / 16}}
ARGUMENTS["stacked_flow"] = {"backbone": NARROW, "num_fields": 4}
ARGUMENTS["flow_stream"] = {
    "network": {"name": "flownet_s", "width": 1 / 16},
    "stream": {"name": "stacked_flow", **ARGUMENTS["stacked_flow"]},
}
ARGUMENTS["two_stream"] = ARGUMENTS["two_stream_rnn"] = two_streams(NARROW, 4)
ARGUMENTS["embedding"] = {"network": NARROW}
ARGUMENTS["two_stream_3d"] = {"layer": "layer4", **two_streams(NARROW, 4)}


OTHERS = {"forecaster", "captioner", "videomae_pretrain", *FLOW_NETWORKS}  # see other inputs, or do not classify


@pytest.mark.parametrize("name", sorted(set(MODELS) - OTHERS))
def test_every_model_keeps_the_contract(name):
    model = make_model(name, 7, dtype="bfloat16", **ARGUMENTS.get(name, {"width": 0.125}))
    size = {"siamese": 65, "clip_l14": 70}.get(name, 72 if name.startswith("videoprism") else 64)
    inputs = {"video": jnp.zeros((2, 17, size, size, 2 if name == "stacked_flow" else 3), jnp.bfloat16)}
    if sees_both(name):
        inputs["flow"] = jnp.zeros((2, 16, 64, 64, 2), jnp.bfloat16)
    variables = jax.eval_shape(lambda batch: model.init(jax.random.key(0), **batch), inputs)
    mask = jnp.ones((2, 17))
    outputs, ends = jax.eval_shape(lambda v, batch: model.apply(v, **batch, frame_mask=mask), variables, inputs)
    expected = (2, 17, 7) if getattr(model, "per_frame", False) else (2, 7)
    assert outputs.shape == expected and outputs.dtype == jnp.bfloat16
    steps = {
        **dict.fromkeys(("timesformer", "vivit", "vivit_factorised", "mvit_v1_b", "mvit_v2_s"), 1),
        **dict.fromkeys(("video_swin_t", "video_swin_s", "video_swin_b"), 9),
        **dict.fromkeys(("videomae_s", "videomae_b", "videomae_l"), 8),
        "videoprism_lvt_b": 1,
        **dict.fromkeys(("slowfast_r50_8x8", "slowfast_r101_8x8"), 5),
        "slowfast_r50_4x16": 3,
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
        "stacked_flow": 4,
        "flow_stream": 4,
        "two_stream": 1,
        "two_stream_3d": 2,
        "two_stream_rnn": 4,
    }
    assert ends["features"].shape[:2] == (2, steps.get(name, 17))
    assert {x.dtype for x in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}


def test_what_a_model_takes_is_in_its_signature():
    assert inputs_of("i3d") == ["video", "frame_mask", "train"]
    assert inputs_of("two_stream")[:2] == ["video", "flow"] and inputs_of("i4d") == []
    assert [name for name in MODELS if sees_both(name)] == ["two_stream", "two_stream_3d", "two_stream_rnn"]
    assert [name for name in MODELS if needs_flow(name) and not sees_both(name)] == ["stacked_flow"]


def test_unknown_names_and_arguments_are_listed():
    with pytest.raises(ValueError, match="model: unknown network 'i4d'; choose one of alexnet, .*resnet18"):
        make_model("i4d", 7)
    with pytest.raises(ValueError, match="model: i3d has no argument wide; choose from .*width, dropout"):
        make_model("i3d", 7, wide=2)
    with pytest.raises(ValueError, match="model: resnet18 has no argument block"):
        make_model("resnet18", 7, block=None)


@pytest.mark.parametrize("name", ["frame_pool", "frame_rnn", "skip_rnn", "conv_lstm", "tcn", "stacked_flow"])
@pytest.mark.parametrize(
    "backbone, message",
    [
        (
            {"name": "resnet19"},
            "model.backbone: the network 'resnet19' is unknown; choose one of inception_v1",
        ),
        ({"name": "i3d"}, "model.backbone: the network 'i3d' does not fit here; choose one of inception_v1, "),
        ({"name": "resnet18", "depth": 3}, "model.backbone: resnet18 has no argument depth; choose from .*width"),
        ({"width": 1}, "model.backbone: the network None is unknown"),
        ("resnet18", "model.backbone must be a dict with the name of a network; choose one of inception_v1"),
    ],
)
def test_wrong_parts_are_named_with_their_place(name, backbone, message):
    with pytest.raises(ValueError, match=message):
        make_model(name, 3, backbone=backbone)


def test_parts_within_parts_and_parts_that_are_missing():
    streams = two_streams({"name": "resnet18", "width": 1, "depth": 3})
    with pytest.raises(ValueError, match="model.spatial.backbone: resnet18 has no argument depth"):
        make_model("two_stream", 3, **streams)
    with pytest.raises(ValueError, match="model.spatial: the network 'raft' is unknown; choose one of frame_pool, "):
        make_model("two_stream", 3, **{**streams, "spatial": {"name": "raft"}})
    with pytest.raises(ValueError, match="model.network must be a dict with the name of a network; choose one of c3d"):
        make_model("clip_rnn", 3)
    with pytest.raises(ValueError, match="model.spatial: the network 'i3d' does not fit here"):
        make_model("two_stream_rnn", 3, **{**streams, "spatial": {"name": "i3d"}})


@pytest.mark.parametrize("name", ["resnet18", pytest.param("r2plus1d_18", marks=pytest.mark.slow)])
def test_rematerialised_blocks_compute_the_same_and_keep_the_statistics(name):
    video = jnp.asarray(np.random.default_rng(0).normal(size=(2, 4, 32, 32, 3)), jnp.float32)
    models = [make_model(name, 2, width=1 / 16, remat=remat) for remat in (False, True)]
    variables = jax.jit(models[0].init)(jax.random.key(0), video)
    shapes = [jax.tree.map(jnp.shape, jax.eval_shape(model.init, jax.random.key(0), video)) for model in models]
    assert shapes[0] == shapes[1]

    def gradient_of(model):
        def loss(params):
            state = {"params": params, "batch_stats": variables["batch_stats"]}
            (logits, _), updates = model.apply(state, video, train=True, mutable=["batch_stats"])
            return jnp.square(logits).sum(), updates

        traced = jax.jit(jax.grad(loss, has_aux=True)).trace(variables["params"])
        return str(traced.jaxpr).count("remat"), traced.lower().compile()(variables["params"])

    (none, plain), (some, again) = map(gradient_of, models)
    assert none == 0 and some > 5
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4), plain, again)
