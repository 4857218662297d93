import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import cifar10
from tests.peers.formula import draw_tree, uniform
from vidjax import config_checks, train
from vidjax.data import dataset_info, records, shards, tfrecords
from vidjax.data.sources import tfds
from vidjax.models.cifar import SmallCNN


def shapes_of(model, video=(1, 1, 32, 32, 3)):
    return jax.eval_shape(model.init, jax.random.key(0), jnp.zeros(video))


def drawn(model):
    return {collection: draw_tree(tree) for collection, tree in shapes_of(model).items()}


def test_parameters_are_as_many_as_by_hand():
    params = shapes_of(SmallCNN(num_classes=10))["params"]
    counts = {name: sum(x.size for x in jax.tree.leaves(layer)) for name, layer in params.items()}
    assert counts == {
        "conv1": (27 + 1) * 32,
        "conv2": (9 * 32 + 1) * 32,
        "conv3": (9 * 32 + 1) * 32,
        "conv4": (9 * 32 + 1) * 64,
        "conv5": (9 * 64 + 1) * 64,
        "fc1": (64 + 1) * 64,
        "fc2": (64 + 1) * 10,
    }
    assert sum(counts.values()) == 79626


@pytest.mark.parametrize(("size", "sizes"), [(32, (14, 6, 1)), (64, (30, 14, 5))])
def test_endpoints(size, sizes):
    model = SmallCNN(num_classes=10)
    logits, ends = jax.eval_shape(model.apply, shapes_of(model), jnp.zeros((2, 3, size, size, 3)))
    assert logits.shape == (2, 10)
    assert set(ends) == {"pool1", "pool2", "pool3", "features"}
    assert tuple(ends[f"pool{i}"].shape[2] for i in (1, 2, 3)) == sizes
    assert ends["features"].shape == (2, 3, 64)


def test_a_clip_has_the_mean_of_the_logits_of_its_frames_that_count():
    model = SmallCNN(num_classes=5, width=0.25)
    variables, video = drawn(model), uniform("video", (2, 3, 33, 32, 3))
    run = jax.jit(lambda mask: model.apply(variables, video, frame_mask=mask))
    logits, ends = run(np.ones((2, 3)))
    fc2 = variables["params"]["fc2"]
    frames = ends["features"] @ fc2["kernel"] + fc2["bias"]  # (2, 3, 5)
    np.testing.assert_allclose(logits, frames.mean(1), atol=1e-5)
    masked, _ = run(np.array([[1.0, 1, 0], [1, 1, 1]]))
    np.testing.assert_allclose(masked, np.stack([frames[0, :2].mean(0), frames[1].mean(0)]), atol=1e-5)
    assert np.abs(masked[0] - logits[0]).max() > 1e-4


def test_without_classes_the_outputs_are_the_features():
    for num_classes in (0, None):
        model = SmallCNN(num_classes=num_classes)
        assert "fc2" not in shapes_of(model)["params"]
    features, ends = jax.eval_shape(model.apply, shapes_of(model), jnp.zeros((2, 3, 32, 32, 3)))
    assert features.shape == ends["features"].shape == (2, 3, 64)


def test_computes_in_bfloat16_with_float32_parameters():
    model = SmallCNN(num_classes=5, dtype=jnp.bfloat16)
    variables, video = shapes_of(model), jnp.zeros((2, 3, 32, 32, 3), jnp.bfloat16)
    assert {x.dtype for x in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}
    logits, ends = jax.eval_shape(lambda v: model.apply(v, video, frame_mask=jnp.ones((2, 3))), variables)
    assert logits.dtype == jnp.bfloat16 and {x.dtype for x in ends.values()} == {jnp.dtype(jnp.bfloat16)}


def test_dropout_draws_and_every_parameter_has_a_gradient():
    model = SmallCNN(num_classes=5, width=0.25, dropout=0.3)
    params, video = drawn(model)["params"], uniform("video", (4, 1, 32, 32, 3))

    @jax.jit
    def gradient(key):
        def loss(params):
            logits, _ = model.apply({"params": params}, video, train=True, rngs={"dropout": key})
            return jax.nn.logsumexp(logits, -1).sum() - logits[:, 0].sum(), logits

        return jax.grad(loss, has_aux=True)(params)

    gradients, logits = gradient(jax.random.key(0))
    np.testing.assert_array_equal(logits, gradient(jax.random.key(0))[1])
    assert np.abs(logits - gradient(jax.random.key(1))[1]).max() > 1e-3
    norms = jax.tree.map(jnp.linalg.norm, gradients)
    assert all(jnp.isfinite(norm) and norm > 1e-6 for norm in jax.tree.leaves(norms))


def test_bad_input_is_refused():
    model = SmallCNN(num_classes=5)
    with pytest.raises(ValueError, match="at least 32x32"):
        shapes_of(model, (1, 1, 31, 32, 3))
    with pytest.raises(ValueError, match="parameters are for 3 channels"):
        jax.eval_shape(model.apply, shapes_of(model), jnp.zeros((1, 1, 32, 32, 1)))


# --- Its config, on a dataset of tensorflow-datasets -----------------------------------------------------------------


@pytest.fixture
def cifar_records(tmp_path, monkeypatch):
    """Records of a builder of the features of CIFAR-10, generated here: 20 images to train on, 10 to test."""
    import tensorflow_datasets

    class TinyCifar(tensorflow_datasets.core.GeneratorBasedBuilder):
        VERSION = tensorflow_datasets.core.Version("1.0.0")

        def _info(self):
            names = [f"class {i}" for i in range(10)]
            features = {
                "id": tensorflow_datasets.features.Text(),
                "image": tensorflow_datasets.features.Image(shape=(32, 32, 3)),
                "label": tensorflow_datasets.features.ClassLabel(names=names),
            }
            return self.dataset_info_from_configs(features=tensorflow_datasets.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples("train", 20), "test": self._generate_examples("test", 10)}

        def _generate_examples(self, split, number):
            for i in range(number):
                path = str(tmp_path / f"{split}{i}.png")  # arrays would need TensorFlow
                cv2.imwrite(path, np.uint8(127 + 127 * uniform(path, (32, 32, 3))))
                yield i, {"id": f"{split}_{i}", "image": path, "label": i % 10}

    monkeypatch.setattr(tensorflow_datasets.core.utils.gcs_utils, "gcs_dataset_info_files", lambda *_: [])
    monkeypatch.setattr(tensorflow_datasets.core.constants, "DATA_DIR", str(tmp_path / "tfds"))
    items = tfds.list_videos("tiny_cifar")
    labels = sorted({item.labels[0] for item in items})
    encoding = shards.Encoding(fps=0.0, short_side=0, format="png", quality=90)
    directory = tmp_path / "records"
    directory.mkdir()
    for split in ("train", "test"):  # in this process: the command's workers would not know the builder
        examples = [shards.read_example(item, encoding, labels)[0] for item in items if item.split == split]
        tfrecords.write_shard(tfrecords.shard_path(directory, split, 0, 1), map(records.encode, examples))
    dataset_info.write(directory, dataset_info.DatasetInfo(labels, "unchanged"), complete=True)
    return directory


def test_the_config_trains_on_images_of_tfds(cifar_records, tmp_path):
    config = cifar10.get_config()
    config_checks.check(config)
    assert config.model.name == "small_cnn" and config.clip.num_frames == 1
    config.dataset = str(cifar_records)
    config.batch_size, config.num_epochs, config.num_threads = 10, 1.0, 2
    config.schedule.warmup_steps = 0
    config.eval.batch_size = 10
    result = train.train(config, tmp_path / "run")
    assert (result["steps"], result["num_videos"], result["num_params"]) == (2, 10, 79626)
    assert np.isfinite(result["loss"])
