"""Captions in the whole story: rendered, made records of, trained, evaluated, written."""

import pytest

from configs import captions
from vidjax import train
from vidjax.analysis import layer_table, networks
from vidjax.data import make_records, pipeline
from vidjax.inference import caption, restore


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    directory = tmp_path_factory.mktemp("captions") / "data"
    arguments = ["captions", "--out", str(directory), "--motion_videos", "8", "4", "4", "--short_side", "32"]
    assert make_records.make_records(make_records.parse_args(arguments)) is None
    config = captions.get_config()
    config.dataset = str(directory)
    config.clip.update({"num_frames": 4, "size": 32, "resize": 32})
    config.model.network.width = 1 / 16
    config.schedule = {"name": "constant", "learning_rate": 0.01}
    config.batch_size, config.num_epochs, config.num_threads, config.eval.batch_size = 4, 2.0, 2, 3
    return config


def test_captions_from_files_to_words(config, tmp_path):
    result = train.train(config, tmp_path)
    assert result["num_videos"] == 4 and 0 <= result["exact"] <= 1 and 0 <= result["top1"] <= 1
    assert "confusion" not in result
    run = restore.from_run(tmp_path)
    assert run.labels[0] == "<end>" and {"red", "circle", "moves"} <= set(run.labels)
    clip = next(pipeline.eval_batches(pipeline.open_records(config.dataset, ["test_unseen"]), run.clip, batch_size=1))
    text, probability = caption.make_writer(run, beams=2)({"video": clip["video"][0]})
    assert set(text.replace(",", " ,").split()) <= set(run.labels) and 0 < probability <= 1


def test_captions_are_not_classified(config, tmp_path):
    config = config.copy_and_resolve_references()
    config.target = "clip"
    with pytest.raises(ValueError, match="holds captions, which does not go with config.target = 'clip'"):
        train.train(config, tmp_path)


def test_the_summary_of_a_captioner(config):
    inputs, num_classes, _ = networks.find_inputs(config, None, 1, None)
    assert "classifier" in layer_table.table(config, inputs, num_classes, 1)
