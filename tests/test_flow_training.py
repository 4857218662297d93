"""A network of optical flow, trained on pairs with exact flow, through the one training step."""

import pytest

from tests.conftest import tiny_settings
from tests.runs import assert_same_run, lines_of
from vidjax import train
from vidjax.data import make_records
from vidjax.data.synthetic import flow_pairs
from vidjax.evaluation import flow_errors
from vidjax.report import __main__ as report


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Records of 12 pairs of 32x64 pixels."""
    out = tmp_path_factory.mktemp("pairs") / "flow"
    counts = ["--motion_videos", "8", "2", "2", "--pair_size", "32", "64", "--num_shards", "1", "--workers", "1"]
    make_records.make_records(make_records.parse_args(["flow", *counts, "--format", "png", "--out", str(out)]))
    return out


def of_flow(config):
    config.target, config.loss = "flow", {"name": "flow_pyramid", "weights": (1.0, 1.0)}
    config.clip = {"num_frames": 2, "size": (16, 64), "eval_size": (32, 64)}
    config.model = {"name": "spynet", "num_levels": 2}
    config.augment.crop, config.augment.flip = "resized", True
    config.batch_size, config.num_epochs, config.eval_every, config.checkpoint_every = 4, 2.0, 2, 2
    config.eval.batch_size = 2
    config.log_every = 1
    return config


@pytest.fixture(scope="module")
def trained(pairs, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("trained") / "run"
    return workdir, train.train(of_flow(tiny_settings(pairs)), workdir)


def test_a_run_writes_end_point_errors_and_a_picture(trained):
    workdir, result = trained
    assert 0 < result["epe"] < 40 and 0 <= result["fl_all"] <= 1 and result["num_videos"] == 2
    lines = lines_of(workdir)
    assert [line["step"] for line in lines if "val_epe" in line] == [2, 4] and "top1" not in lines[0]
    assert (workdir / flow_errors.NAME).exists() and not (workdir / "predictions.csv").exists()


def test_an_interrupted_run_ends_with_the_same_bits(trained, pairs, tmp_path, monkeypatch):
    config, saved = of_flow(tiny_settings(pairs)), train.Checkpoints.save

    def crashing(checkpoints, state, position):
        saved(checkpoints, state, position)
        checkpoints.close()
        raise RuntimeError("power cut")

    monkeypatch.setattr(train.Checkpoints, "save", crashing)
    with pytest.raises(RuntimeError, match="power cut"):
        train.train(config, tmp_path / "run")
    monkeypatch.undo()
    train.train(config, tmp_path / "run")
    assert_same_run(tmp_path / "run", trained[0], num_steps=4)


def test_the_report_shows_the_picture(trained, tmp_path, monkeypatch):
    page = tmp_path / "page.html"
    monkeypatch.setattr("sys.argv", ["report", str(trained[0]), "--out", str(page)])
    report.main()
    assert "their true and their estimated optical flow" in page.read_text()


def test_configs_that_do_not_fit(pairs, tiny_motion, tmp_path):
    config = of_flow(tiny_settings(pairs))
    config.clip = {"num_frames": 2, "size": 32}
    with pytest.raises(ValueError, match=r"needs config.flow = '' and config.clip.size = \(height, width\)"):
        train.train(config, tmp_path / "a")
    with pytest.raises(ValueError, match="holds no true optical flow"):
        train.train(of_flow(tiny_settings(tiny_motion)), tmp_path / "b")
    with pytest.raises(ValueError, match="holds pairs of frames with true optical flow"):
        train.train(tiny_settings(pairs), tmp_path / "c")
    config = of_flow(tiny_settings(pairs))
    config.target = "clip"
    with pytest.raises(ValueError, match="need each other"):
        train.train(config, tmp_path / "d")


def test_arguments_of_make_records(tmp_path, capsys):
    for arguments, message in [
        (["motion", "--photographs", str(tmp_path)], "--photographs is for the source flow"),
        (["flow", "--pair_size", "8", "64"], "--pair_size 8 64: give 32 to"),
        (["flow", "--fps", "12"], "--fps, --flow and --label_fraction are for videos"),
        (["sintel"], "Give sintel and its folder"),
        (["sintel", str(tmp_path / "none")], "is not a directory"),
    ]:
        with pytest.raises(ValueError, match=message):
            make_records.make_records(make_records.parse_args([*arguments, "--out", str(tmp_path / "out")]))
    assert flow_pairs.SIZE == (192, 256)
