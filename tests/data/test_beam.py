import json
import shutil

import numpy as np
import pytest

from vidjax.data import beam, dataset_info, make_records, pipeline, shards, tfrecords, video
from vidjax.data.sources.items import Item

pytest.importorskip("apache_beam", reason="Beam is not installed: pip install -e '.[beam]'")

IN_THIS_PROCESS = ("--runner", "beam", "--", "--direct_running_mode=in_memory", "--direct_num_workers=1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two classes of four videos of 4 frames, an empty file, and a text file."""
    folder = tmp_path_factory.mktemp("folder")
    for label, base in (("a", 0), ("b", 100)):
        for i in range(4):
            video.write_video(folder / label / f"{i}.mp4", np.full((4, 32, 48, 3), base + 20 * i, np.uint8), 10)
    (folder / "a/empty.mp4").touch()
    (folder / "b/text.mp4").write_text("not a video")
    return folder


def make(folder, out, *arguments):
    fixed = [folder, "--out", out, "--num_shards", 2, "--workers", 2, "--max_bad", 0.5]
    return make_records.make_records(make_records.parse_args([str(a) for a in (*fixed, *arguments)]))


def contents(directory):
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


@pytest.fixture(scope="module")
def local(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("local") / "out"
    assert make(folder, out) is None
    return out


@pytest.mark.parametrize("arguments", [IN_THIS_PROCESS, ("--runner", "beam")], ids=["one process", "two processes"])
def test_every_file_is_that_of_the_local_build(arguments, folder, local, tmp_path, capsys):
    assert make(folder, tmp_path / "out", *arguments) is None
    written = contents(tmp_path / "out")
    assert written == contents(local)
    assert {"dataset.json", "labels.txt", "train-00001-of-00002.tfrecord"} < set(written)
    assert len(json.loads(written["dataset.json"])["skipped"]) == 2
    assert len(pipeline.open_records(tmp_path / "out", ["train", "val", "test"])) == 8
    out = capsys.readouterr().out
    assert "empty.mp4 is empty" in out and "text.mp4 is not a video" in out and "2 classes; 2 skipped" in out


def test_beam_continues_a_local_build(folder, local, tmp_path):
    shutil.copytree(local, tmp_path / "out")
    lost = tfrecords.shard_path(tmp_path / "out", "train", 1, 2)
    lost.unlink()
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.tfrecord")}
    assert make(folder, tmp_path / "out", *IN_THIS_PROCESS) is None
    assert contents(tmp_path / "out") == contents(local)
    assert times == {path: path.stat().st_mtime_ns for path in times}  # all other shards are unchanged


def test_too_many_unreadable_videos_fail_as_locally(folder, tmp_path):
    with pytest.raises(ValueError, match="2 of 10 videos could not be read, more than --max_bad 0.1 allows"):
        make(folder, tmp_path / "out", "--max_bad", 0.1, *IN_THIS_PROCESS)
    with pytest.raises(ValueError, match="not finished"):
        dataset_info.read(tmp_path / "out")


def test_a_repeated_shard_is_not_rewritten(folder, tmp_path):
    (tmp_path / "dataset.json").touch()
    encoding = shards.Encoding(fps=0, short_side=0, format="png", quality=90)
    items = [Item(str(folder / "a/0.mp4"), ("a",), "train")]
    (task,) = shards.plan(items, tmp_path, None, encoding, ["a"])
    beam.write_shard(task, encoding, ["a"])
    first = (tmp_path / "train-00000-of-00001.tfrecord").stat()
    assert first.st_size > 0
    beam.write_shard(task, encoding, ["a"])
    assert (tmp_path / "train-00000-of-00001.tfrecord").stat() == first


def test_a_worker_that_does_not_see_the_directory_raises_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"does not see .*dataset.json: --out must be a directory that all workers"):
        beam.write_shard(shards.Task(tmp_path / "train-00000-of-00001.tfrecord", [], ""), None, [])
    assert not list(tmp_path.iterdir())


def test_shards_that_are_missing_at_the_end_are_an_error(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(beam, "write_shard", lambda *arguments: None)
    with pytest.raises(ValueError, match="6 of 6 shards are not written yet, .*; Beam's state is DONE"):
        make(folder, tmp_path / "out", *IN_THIS_PROCESS)


@pytest.mark.parametrize(
    "options, message",
    [
        (["--runner=Fink"], "Beam has no runner 'Fink'; choose one of .*FlinkRunner.*SparkRunner"),
        (["--direct_num_worker=3"], "Beam has no option --direct_num_worker=3"),
        (["DataflowRunner"], "Beam has no option DataflowRunner"),
        (["--direct_num_workers=many"], "after --: argument --direct_num_workers: invalid int value: 'many'"),
        (["--runner"], "after --: argument --runner: expected one argument"),
    ],
)
def test_options_that_beam_does_not_have(options, message, folder, tmp_path):
    with pytest.raises(ValueError, match=message):
        make(folder, tmp_path / "out", "--runner", "beam", "--", *options)
    assert not (tmp_path / "out").exists()
