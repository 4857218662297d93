import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.peers.formula import uniform
from tests.video_networks import check_golden, check_names, check_number_of_parameters, drawn
from vidjax.inference import stream
from vidjax.models import make_model
from vidjax.models.resnet import Bottleneck, ResNet
from vidjax.models.tsm import TSM, Shift
from vidjax.weights import importers

RESNET18 = {"backbone": {"name": "resnet18"}}
SMALL = {"backbone": {"name": "resnet18", "width": 0.125}}


def test_logits_are_those_of_the_authors_code():
    check_golden("tsm", "tsm", RESNET18, (4, 32, 32))
    bottlenecks = TSM(5, ResNet(stage_sizes=(1, 1, 1, 1), block=Bottleneck))
    check_golden("tsm, bottlenecks", bottlenecks, {}, (4, 32, 32))


@pytest.mark.parametrize("num_classes, expected", [(400, 24_327_632), (174, 23_864_558)])
def test_it_has_the_parameters_of_its_backbone(num_classes, expected):
    check_number_of_parameters("tsm", expected, num_classes, backbone={"name": "resnet50"})
    check_number_of_parameters("resnet50", expected, num_classes)


@pytest.mark.parametrize("layout", [importers.TSM, importers.MMACTION_TSM])
def test_names_of_the_authors_and_of_mmaction(layout):
    check_names(layout, "tsm", {"backbone": {"name": "resnet50", "width": 0.125}}, (4, 32, 32))
    names = {
        importers.TSM: ("base_model.layer2.0.conv1.net.weight", "base_model.layer2.0.downsample.1.running_var"),
        importers.MMACTION_TSM: (
            "backbone.layer2.0.conv1.conv.net.weight",
            "backbone.layer2.0.downsample.bn.running_var",
        ),
    }[layout]
    assert [layout.path_of(name) for name in names] == ["layer2_0/conv1/kernel", "layer2_0/downsample_bn/var"]
    assert layout.path_of(names[1].replace("running_var", "num_batches_tracked")) is None


def test_no_channels_that_move_give_the_backbone_to_the_bit():
    model, variables, video = drawn("tsm", SMALL, (4, 32, 32))
    still, plain = make_model("tsm", 5, share=0.0, **SMALL), make_model("resnet18", 5, width=0.125)
    expected = jax.jit(plain.apply)(variables, video)[0]
    np.testing.assert_array_equal(jax.jit(still.apply)(variables, video)[0], expected)
    assert np.abs(jax.jit(model.apply)(variables, video)[0] - expected).max() > 1e-2


def test_channels_move_by_a_frame():
    x = jnp.arange(1.0, 13).reshape(1, 3, 1, 1, 4)  # frame 0 is 1, 2, 3, 4
    both, online = (Shift(0.25, online).apply({}, x)[0, :, 0, 0].tolist() for online in (False, True))
    assert both == [[5, 0, 3, 4], [9, 2, 7, 8], [0, 6, 11, 12]]
    assert online == [[0, 2, 3, 4], [1, 6, 7, 8], [5, 10, 11, 12]]
    masked = Shift(0.25, False).apply({}, x, jnp.array([[1, 1, 0]]))[0, :, 0, 0].tolist()
    assert masked[:2] == [[5, 0, 3, 4], [0, 2, 7, 8]]


def test_a_padded_clip_has_the_logits_of_the_shorter_clip():
    model, variables, video = drawn("tsm", SMALL, (4, 32, 32))
    mask = np.array([[1, 1, 1, 0], [1, 1, 1, 1]], np.float32)
    padded = jax.jit(model.apply)(variables, video, frame_mask=mask)[0]
    shorter = jax.jit(model.apply)(variables, video[:, :3])[0]
    np.testing.assert_allclose(padded[0], shorter[0], atol=1e-5)
    assert np.abs(padded[1] - shorter[1]).max() > 1e-2


def test_a_stream_has_the_logits_of_the_clip_so_far():
    model, variables, video = drawn("tsm", {**SMALL, "online": True}, (4, 32, 32))
    spec = {"mean": [127.5] * 3, "std": [127.5] * 3}
    frames = np.uint8(127.5 + 127.5 * video)
    params, others = variables["params"], {"batch_stats": variables["batch_stats"]}
    state, step = stream.init_stream(params, others, model=model, spec=spec)
    normalised = (frames - 127.5) / np.float32(127.5)
    features = jax.jit(model.apply)(variables, normalised)[1]["features"]  # no frame sees a later one
    for frame in range(4):
        state, logits = step(state, frames[:, frame : frame + 1])
        expected = features[:, : frame + 1].mean(1) @ params["fc"]["kernel"] + params["fc"]["bias"]
        np.testing.assert_allclose(logits, expected, atol=1e-5 * np.abs(expected).max())
    kept = [x.shape for x in jax.tree.leaves(state)]
    assert (2, 1, 8, 8, 1) in kept and len(kept) == 8 + 2  # an eighth of the channels per block, and the mean


def test_online_no_frame_sees_a_later_one():
    model, variables, video = drawn("tsm", {**SMALL, "online": True}, (4, 32, 32))
    changed = video.copy()
    changed[:, 2:] += 1
    apply = jax.jit(model.apply)
    features, others = apply(variables, video)[1]["features"], apply(variables, changed)[1]["features"]
    np.testing.assert_array_equal(features[:, :2], others[:, :2])
    assert np.abs(features[:, 2:] - others[:, 2:]).max() > 1e-2


def test_a_rematerialised_backbone_computes_the_same():
    _, variables, video = drawn("tsm", SMALL, (4, 32, 32))
    plain, remat = (make_model("tsm", 5, backbone={**SMALL["backbone"], "remat": remat}) for remat in (False, True))
    expected = jax.jit(plain.apply)(variables, video)[0]
    np.testing.assert_allclose(jax.jit(remat.apply)(variables, video)[0], expected, atol=1e-6)


def test_errors():
    with pytest.raises(ValueError, match="inside a 2-D ResNet: set model.backbone to resnet18, 34 or 50"):
        TSM(5, make_model("r3d_18"))
    with pytest.raises(ValueError, match=r"model.backbone: the network 'vgg16' does not fit here; choose one of res"):
        make_model("tsm", 5, backbone={"name": "vgg16"})
    with pytest.raises(ValueError, match="share=0.75 must be from 0 to 0.5"):
        make_model("tsm", 5, share=0.75, **SMALL)
    with pytest.raises(ValueError, match="shifts both ways cannot be stateful: set model.online = True"):
        make_model("tsm", 5, stateful=True, **SMALL)
    model = make_model("tsm", 5, stateful=True, online=True, **SMALL)
    with pytest.raises(ValueError, match="A stateful TSM is for streams of valid frames: it cannot be trained"):
        jax.eval_shape(lambda: model.init(jax.random.key(0), uniform("x", (1, 2, 32, 32, 3)), train=True))
