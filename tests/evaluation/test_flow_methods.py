import json

import numpy as np
import pytest

from vidjax.data import flow_pairs, make_records, pipeline
from vidjax.evaluation import flow_methods
from vidjax.models import FLOW_NETWORKS


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Records of three pairs of 48x64 pixels."""
    out = tmp_path_factory.mktemp("pairs") / "flow"
    counts = ["--motion_videos", "0", "0", "3", "--pair_size", "48", "64", "--workers", "1"]
    make_records.make_records(make_records.parse_args(["flow", *counts, "--format", "png", "--out", str(out)]))
    return out


def nothing_moves(video):
    """A method that sees RGB frames."""
    assert video.shape == (2, 48, 64, 3) and video.dtype == np.uint8
    return np.zeros((1, 48, 64, 2), np.float32)


def test_errors_time_and_size_of_a_method(pairs):
    source = pipeline.open_records(pairs, ["test"])
    result = flow_methods.measure(nothing_moves, source)
    true = [flow_pairs.read_pair(source[i]) for i in range(3)]
    speeds = np.concatenate([np.linalg.norm(flow[mask], axis=-1) for _, flow, mask in true])
    np.testing.assert_allclose(result["epe"], speeds.mean(), rtol=1e-5)
    assert result["num_videos"] == 3 and result["num_params"] == 0 and result["milliseconds"] > 0


def test_the_command_prints_a_table_per_dataset(pairs, tmp_path, monkeypatch, capsys):
    out = tmp_path / "methods.json"
    arguments = [str(pairs), "--methods", "opencv_dis", "opencv_farneback", "--pairs", "2", "--out", str(out)]
    monkeypatch.setattr("sys.argv", ["flow_methods", *arguments])
    flow_methods.main()
    head, _, heads, _, *rows, _ = capsys.readouterr().out.splitlines()
    assert head == f"{pairs}, 2 pairs" and len(rows) == 2
    assert rows[0].startswith("| opencv_dis |  | ") and rows[0].count("|") == heads.count("|")
    results = json.loads(out.read_text())[str(pairs)]
    assert list(results) == ["opencv_dis", "opencv_farneback"] and results["opencv_dis"]["num_videos"] == 2


def test_networks_have_the_names_of_models():
    assert set(flow_methods.flow_images.NETWORKS) == set(FLOW_NETWORKS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "raft"], "Unknown optical flow 'raft'; choose one of farneback"),
        (["--methods", "raft_small"], "raft_small is of a network: give its weights too"),
        (["--learned", "raft_small"], "raft_small: give NETWORK=WEIGHTS, a network out of raft_large"),
        (["--learned", "tvl1=x"], "tvl1=x: give NETWORK=WEIGHTS"),
        (["--learned", "raft_small=nowhere"], "'nowhere' is neither the name of weights nor a file"),
        (["--splits", "val"], "val"),
        (["--out", "nowhere/x.json"], "nowhere is not a directory"),
        (["--methods", "opencv_dis", "--pairs", "0"], "--pairs 0 must be 1 or more"),
    ],
)
def test_errors(pairs, monkeypatch, arguments, message):
    monkeypatch.setattr("sys.argv", ["flow_methods", str(pairs), *arguments])
    with pytest.raises(SystemExit, match=message):
        flow_methods.main()


def test_records_without_true_flow(tiny_motion, monkeypatch):
    monkeypatch.setattr("sys.argv", ["flow_methods", str(tiny_motion), "--methods", "opencv_dis"])
    with pytest.raises(SystemExit, match="holds no true optical flow"):
        flow_methods.main()
