import json
import os
import shutil
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from vidjax import flow
from vidjax.data import clips, make_records, motion, pipeline, records, video


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two classes of five videos; video i of class "a" is grey of level 20 * i, of class "b" 100 more."""
    folder = tmp_path_factory.mktemp("folder")
    for label, base in (("a", 0), ("b", 100)):
        for i in range(5):
            frames = np.full((10, 32, 48, 3), base + 20 * i, np.uint8)
            video.write_video(folder / label / f"{i}.mp4", frames, 10)
    return folder


def make(*arguments):
    return make_records.make_records(make_records.parse_args([str(a) for a in (*arguments, "--workers", 1)]))


def contents(directory):
    return {path.name: path.read_bytes() for path in sorted(directory.glob("*.tfrecord"))}


def test_a_folder_becomes_records(folder, tmp_path, capsys):
    assert make(folder, "--out", tmp_path / "out", "--fps", 5, "--short_side", 16, "--format", "png") is None
    assert "2 classes; 0 skipped" in capsys.readouterr().out
    info = records.read_info(tmp_path / "out")
    assert info == records.DatasetInfo(["a", "b"], "unchanged", inputs={"fps": 5.0, "short_side": 16})
    details = json.loads((tmp_path / "out/dataset.json").read_text())
    assert details["splits"] == {"test": 2, "train": 6, "val": 2}
    assert details["arguments"]["fps"] == 5
    source = pipeline.open_records(tmp_path / "out", ["train", "val", "test"])
    assert len(source) == 10
    for example in (source[i] for i in range(10)):
        assert len(example.images) == 5
        assert (example.fps, example.height, example.width) == (5, 16, 24)
        assert (example.start, example.end) == (0, 1)
        clip = clips.eval_clips(example, info, num_frames=2, size=16)
        level = 100 * example.labels[0] + 20 * int(example.media_id[-5])
        assert abs(clip["video"].mean() - level) < 4


def test_optical_flow_is_stored_too(folder, tmp_path):
    texture = cv2.GaussianBlur(np.random.default_rng(0).uniform(0, 255, (64, 96, 3)), (0, 0), 3)
    texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    frames = np.stack(
        [np.roll(texture, (t, -2 * t), axis=(0, 1)) for t in range(4)]
    )  # a pixel down and two to the left
    video.write_video(tmp_path / "videos/a/0.mp4", frames, 10, quality=1)
    video.write_video(tmp_path / "videos/a/1.mp4", frames[:1], 10)  # no flow
    arguments = (
        "--short_side",
        32,
        "--flow",
        "opencv_tvl1",
        "--test_fraction",
        0,
        "--val_fraction",
        0,
        "--max_bad",
        0.5,
    )
    assert make(tmp_path / "videos", "--out", tmp_path / "out", *arguments) is None
    source = pipeline.open_records(tmp_path / "out", ["train"])
    assert source.info.inputs == {"fps": 0.0, "short_side": 32, "flow": "opencv_tvl1"}
    example = source[0]
    assert len(source) == 1 and len(example.images) == 4 and len(example.flow) == 3
    details = json.loads((tmp_path / "out/dataset.json").read_text())
    assert "needs two frames" in details["skipped"][0][1] and details["arguments"]["flow"] == "opencv_tvl1"
    levels = clips.eval_clips(example, source.info, num_frames=3, size=32, streams=("flow",))["flow"]
    found = flow.from_levels(levels[0].astype(float))  # of frames of half the size
    np.testing.assert_allclose(np.median(found, axis=(0, 1, 2)), [-1, 0.5], atol=0.15)
    with pytest.raises(ValueError, match="no optical flow 'tv'; choose one of farneback, .*opencv_deepflow"):
        make(folder, "--out", tmp_path / "other", "--flow", "tv")


def test_a_second_run_reuses_and_a_lost_shard_is_made_again(folder, tmp_path):
    arguments = (folder, "--out", tmp_path / "out", "--num_shards", 2)
    make(*arguments)
    before = contents(tmp_path / "out")
    assert len(before) == 6  # two for each split
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.tfrecord")}
    records.shard_path(tmp_path / "out", "train", 1, 2).unlink()
    make(*arguments)
    assert contents(tmp_path / "out") == before
    changed = [path.name for path, time in times.items() if path.stat().st_mtime_ns != time]
    assert changed == ["train-00001-of-00002.tfrecord"]


def test_other_arguments_need_another_directory(folder, tmp_path):
    make(folder, "--out", tmp_path / "out")
    with pytest.raises(ValueError, match="other videos or other arguments"):
        make(folder, "--out", tmp_path / "out", "--fps", 3)


def test_unreadable_files_are_listed_skipped_and_counted(folder, tmp_path, capsys):
    shutil.copytree(folder, tmp_path / "videos")
    (tmp_path / "videos/a/text.mp4").write_text("not a video")
    (tmp_path / "videos/a/zero.mp4").touch()
    whole = (folder / "a/0.mp4").read_bytes()
    (tmp_path / "videos/b/cut.mp4").write_bytes(whole[: len(whole) // 2])
    failure = make(tmp_path / "videos", "--out", tmp_path / "out")
    out = capsys.readouterr().out
    assert "3 of 13 videos could not be read, more than --max_bad 0.01 allows" in failure
    assert "text.mp4 is not a video" in out
    assert "zero.mp4 is empty" in out
    assert "cut.mp4 is not a video" in out
    with pytest.raises(ValueError, match="not finished"):
        pipeline.open_records(tmp_path / "out", ["train"])
    assert make(tmp_path / "videos", "--out", tmp_path / "out", "--max_bad", 0.5) is None
    assert len(pipeline.open_records(tmp_path / "out", ["train", "val", "test"])) == 10
    assert len(json.loads((tmp_path / "out/dataset.json").read_text())["skipped"]) == 3


def test_nothing_readable_fails(tmp_path):
    for name in "123":
        (tmp_path / "videos/a").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"videos/a/{name}.mp4").touch()
    failure = make(tmp_path / "videos", "--out", tmp_path / "out", "--max_bad", 1)
    assert failure == "None of the 3 videos could be read."


def test_csv_with_parts_splits_and_a_missing_file(folder, tmp_path, capsys):
    text = (
        f"path,label,split,start,end\n{folder}/a/0.mp4,a,train,0.2,0.5\n{folder}/b/1.mp4,b,test,,\nnone.mp4,b,test,,\n"
    )
    (tmp_path / "videos.csv").write_text(text)
    assert make(tmp_path / "videos.csv", "--out", tmp_path / "out", "--max_bad", 0.5) is None
    assert "none.mp4 does not exist" in capsys.readouterr().out
    part = pipeline.open_records(tmp_path / "out", ["train"])[0]
    assert len(part.images) == 3
    assert part.start == pytest.approx(0.2)
    assert part.end == pytest.approx(0.5)


def test_split_by_column(folder, tmp_path):
    rows = [f"{folder}/{label}/{i}.mp4,{label},{i % 2}" for label in "ab" for i in range(5)]
    (tmp_path / "videos.csv").write_text("\n".join(["path,label,sequence", *rows]))
    make(tmp_path / "videos.csv", "--out", tmp_path / "out", "--split_by", "sequence")
    assert len(pipeline.open_records(tmp_path / "out", ["sequence_0"])) == 6
    assert len(pipeline.open_records(tmp_path / "out", ["sequence_1"])) == 4


def test_what_a_flip_does(folder, tmp_path):
    make(folder, "--out", tmp_path / "out", "--horizontal_flip", "a:b")
    assert records.read_info(tmp_path / "out").horizontal_flip == [1, 0]
    with pytest.raises(ValueError, match="give unchanged, forbidden or CLASS:CLASS"):
        make_records.parse_flip("left:right", ["a", "b"])


def test_motion(tmp_path):
    make("motion", "--out", tmp_path / "out", "--motion_videos", 8, 8, 8, "--short_side", 0)
    info = records.read_info(tmp_path / "out")
    assert info == records.DatasetInfo(
        list(motion.CLASSES), "forbidden", list(motion.REVERSED), inputs={"fps": 0.0, "short_side": 0}
    )
    example = pipeline.open_records(tmp_path / "out", ["test"])[0]
    assert (len(example.images), example.fps, example.height) == (24, 12, 64)


def test_the_command_says_what_is_wrong_and_exits(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr("sys.argv", ["make_records", str(tmp_path / "empty"), "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit, match="has no videos") as stopped:
        make_records.main()
    assert stopped.value.code  # a message is status 1
    assert not (tmp_path / "out").exists()


def test_a_runner_that_cannot_be(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)  # as where it is not installed
    with pytest.raises(ValueError, match=r"needs apache_beam, which is not installed: pip install -e '\.\[beam\]'"):
        make(folder, "--out", tmp_path / "out", "--runner", "beam")
    arguments = [str(folder), "--out", str(tmp_path / "out"), "--", "--runner=FlinkRunner"]
    with pytest.raises(ValueError, match="--runner beam asks for: --runner=FlinkRunner"):
        make_records.make_records(make_records.parse_args(arguments))
    with pytest.raises(ValueError, match="gs:/bucket/out: records are written to a directory"):
        make(folder, "--out", "gs://bucket/out")
    assert not (tmp_path / "out").exists()


def test_motion_with_one_label_a_frame(tmp_path):
    out = tmp_path / "data"
    arguments = "motion --concatenate 3 --motion_videos 2 1 1 --short_side 16 --workers 1 --out".split()
    assert make_records.make_records(make_records.parse_args([*arguments, str(out)])) is None
    source = pipeline.open_records(out, ["train"])
    assert len(source) == 2 and source.info.labels == list(motion.CLASSES)
    for i in range(2):
        example = source[i]
        assert len(example.images) == len(example.frame_labels) == 72
        assert sorted(set(example.frame_labels)) == sorted(example.labels)
        assert all(len(set(example.frame_labels[start : start + 24])) == 1 for start in (0, 24, 48))
    with pytest.raises(ValueError, match="--concatenate is at least 1, for the source motion, and goes without --fps"):
        make_records.make_records(make_records.parse_args([str(tmp_path), "--concatenate", "2", "--out", str(out)]))


def test_a_run_that_is_killed_goes_on_and_writes_the_same(tmp_path):
    arguments = ["motion", "--motion_videos", "16", "8", "8", "--num_shards", "2", "--short_side", "32"]
    arguments += ["--out", str(tmp_path / "out")]
    assert make_records.make_records(make_records.parse_args(arguments)) is None
    (tmp_path / "out").rename(tmp_path / "whole")  # records name the files that they are made from
    command = [sys.executable, "-m", "vidjax.data.make_records", *arguments]
    killed = 0
    for shards in (1, 3):
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        while process.poll() is None and len(contents(tmp_path / "out")) < shards:
            time.sleep(0.001)
        if process.poll() is None:
            with pytest.raises(ValueError, match="is not finished: run the same make_records command again"):
                records.read_info(tmp_path / "out")
        os.killpg(process.pid, signal.SIGKILL)  # its workers too
        killed += process.wait() < 0
    assert killed and len(contents(tmp_path / "out")) < 6
    subprocess.run(command, check=True, capture_output=True)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert records.read_info(tmp_path / "out") == records.read_info(tmp_path / "whole")
