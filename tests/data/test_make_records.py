import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from vidjax import flow
from vidjax.data import clips, dataset_info, make_records, pipeline, tfrecords, video
from vidjax.data.folds import find_fold
from vidjax.data.synthetic import motion


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two classes of five videos; video i has grey level 20 * i in class "a", 100 more in class "b"."""
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
    info = dataset_info.read(tmp_path / "out")
    assert info == dataset_info.DatasetInfo(["a", "b"], "unchanged", inputs={"fps": 5.0, "short_side": 16})
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
    )  # one pixel down and two to the left per frame
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
    assert "needs at least two frames" in details["skipped"][0][1] and details["arguments"]["flow"] == "opencv_tvl1"
    levels = clips.eval_clips(example, source.info, num_frames=3, size=32, streams=("flow",))["flow"]
    found = flow.from_levels(levels[0].astype(float))  # the frames have half the size
    np.testing.assert_allclose(np.median(found, axis=(0, 1, 2)), [-1, 0.5], atol=0.15)
    with pytest.raises(ValueError, match="Unknown optical flow 'tv'; choose one of farneback, .*opencv_deepflow"):
        make(folder, "--out", tmp_path / "other", "--flow", "tv")


def test_a_second_run_reuses_and_a_lost_shard_is_made_again(folder, tmp_path):
    arguments = (folder, "--out", tmp_path / "out", "--num_shards", 2)
    make(*arguments)
    before = contents(tmp_path / "out")
    assert len(before) == 6  # two per split
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.tfrecord")}
    tfrecords.shard_path(tmp_path / "out", "train", 1, 2).unlink()
    make(*arguments)
    assert contents(tmp_path / "out") == before
    changed = [path.name for path, time in times.items() if path.stat().st_mtime_ns != time]
    assert changed == ["train-00001-of-00002.tfrecord"]


def test_other_arguments_need_another_directory(folder, tmp_path):
    make(folder, "--out", tmp_path / "out")
    with pytest.raises(
        ValueError, match=r"records made with other arguments \(fps: 0.0 there, 3.0 now\). Give another --out"
    ):
        make(folder, "--out", tmp_path / "out", "--fps", 3)


def test_the_same_relative_source_elsewhere_is_another_source(folder, tmp_path, monkeypatch):
    for name in "ab":
        shutil.copytree(folder, tmp_path / name / "videos")
    monkeypatch.chdir(tmp_path / "a")
    assert make("videos", "--out", tmp_path / "out") is None
    assert make(tmp_path / "a/videos", "--out", tmp_path / "out") is None
    monkeypatch.chdir(tmp_path / "b")
    with pytest.raises(ValueError, match=r"records made with other arguments \(sources: "):
        make("videos", "--out", tmp_path / "out")


def test_unreadable_files_are_listed_skipped_and_counted(folder, tmp_path, capsys):
    shutil.copytree(folder, tmp_path / "videos")
    (tmp_path / "videos/a/text.mp4").write_text("not a video")
    (tmp_path / "videos/a/zero.mp4").touch()
    whole = (folder / "a/0.mp4").read_bytes()
    (tmp_path / "videos/b/cut.mp4").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="3 of 13 videos could not be read, more than --max_bad 0.01 allows"):
        make(tmp_path / "videos", "--out", tmp_path / "out")
    out = capsys.readouterr().out
    assert "text.mp4 is not a video" in out
    assert "zero.mp4 is empty" in out
    assert "cut.mp4 is not a video" in out
    with pytest.raises(ValueError, match="not finished"):
        pipeline.open_records(tmp_path / "out", ["train"])
    assert make(tmp_path / "videos", "--out", tmp_path / "out", "--max_bad", 0.5) is None
    assert len(pipeline.open_records(tmp_path / "out", ["train", "val", "test"])) == 10
    assert len(json.loads((tmp_path / "out/dataset.json").read_text())["skipped"]) == 3


def test_a_repaired_file_is_read_and_a_removed_one_is_dropped(folder, tmp_path, capsys):
    shutil.copytree(folder, tmp_path / "videos")
    for name in ("5.mp4", "6.mp4"):
        (tmp_path / "videos/a" / name).write_text("not a video")
    with pytest.raises(ValueError, match="2 of 12 videos could not be read"):
        make(tmp_path / "videos", "--out", tmp_path / "out")
    shutil.copy(folder / "a/0.mp4", tmp_path / "videos/a/5.mp4")
    (tmp_path / "videos/a/6.mp4").unlink()
    assert make(tmp_path / "videos", "--out", tmp_path / "out") is None
    assert "note: the videos or their splits have changed; rewriting" in capsys.readouterr().out
    source = pipeline.open_records(tmp_path / "out", ["train", "val", "test"])
    assert sorted(Path(source[i].media_id).name for i in range(11) if "/a/" in source[i].media_id) == [
        f"{i}.mp4" for i in range(6)
    ]
    assert len(source) == 11


def test_unchanged_videos_are_not_read_again(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "videos")
    (tmp_path / "videos/a/5.mp4").write_text("not a video")
    arguments = ("--out", tmp_path / "out", "--num_shards", 2, "--max_bad", 0.2)
    assert make(tmp_path / "videos", *arguments) is None
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.tfrecord")}
    assert make(tmp_path / "videos", *arguments) is None
    assert before == {path: path.stat().st_mtime_ns for path in before}
    (tmp_path / "videos/b/0.mp4").touch()
    assert make(tmp_path / "videos", *arguments) is None
    assert sum(time != path.stat().st_mtime_ns for path, time in before.items()) == 1


def test_a_smaller_split_leaves_no_shards_behind(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "videos")
    rows = [f"videos/{label}/{i}.mp4,{label},{split}" for label in "ab" for i, split in enumerate(["x", "x", "y"])]
    (tmp_path / "videos.csv").write_text("\n".join(["path,label,split", *rows]))
    assert make(tmp_path / "videos.csv", "--out", tmp_path / "out") is None
    (tmp_path / "videos.csv").write_text("\n".join(["path,label,split", *(row for row in rows if row[-1] == "x")]))
    assert make(tmp_path / "videos.csv", "--out", tmp_path / "out") is None
    assert tfrecords.find_splits(tmp_path / "out") == ["x"]


def test_nothing_readable_fails(tmp_path):
    for name in "123":
        (tmp_path / "videos/a").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"videos/a/{name}.mp4").touch()
    with pytest.raises(ValueError, match="None of the 3 videos could be read; see the reasons above"):
        make(tmp_path / "videos", "--out", tmp_path / "out", "--max_bad", 1)


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
    assert find_fold(tmp_path / "out", "leave_one_out/1") == (["sequence_0"], ["sequence_1"])
    (tmp_path / "folds.json").write_text('{"mine": [{"train": ["sequence_1"], "test": ["sequence_0"]}]}')
    folds = "--folds", tmp_path / "folds.json"
    make(tmp_path / "videos.csv", "--out", tmp_path / "out", "--split_by", "sequence", *folds)  # may be added later
    assert find_fold(tmp_path / "out", "mine/0") == (["sequence_1"], ["sequence_0"])


def test_folds_of_a_folder(folder, tmp_path):
    make(folder, "--out", tmp_path / "out", "--num_folds", 5)
    assert find_fold(tmp_path / "out", "leave_one_out/0") == (["fold_2", "fold_3", "fold_4", "fold_5"], ["fold_1"])
    for k in range(1, 6):
        labels = [example.labels[0] for example in pipeline.open_records(tmp_path / "out", [f"fold_{k}"])]
        assert sorted(labels) == [0, 1]
    with pytest.raises(ValueError, match="Too few groups for --num_folds 6"):
        make(folder, "--out", tmp_path / "other", "--num_folds", 6)


def test_what_a_flip_does(folder, tmp_path):
    make(folder, "--out", tmp_path / "out", "--horizontal_flip", "a:b")
    assert dataset_info.read(tmp_path / "out").horizontal_flip == [1, 0]
    with pytest.raises(ValueError, match="give unchanged, forbidden or CLASS:CLASS"):
        make(folder, "--out", tmp_path / "other", "--horizontal_flip", "left:right")


def test_motion(tmp_path):
    make("motion", "--out", tmp_path / "out", "--motion_videos", 8, 8, 8, "--short_side", 0)
    info = dataset_info.read(tmp_path / "out")
    assert info == dataset_info.DatasetInfo(
        list(motion.CLASSES), "forbidden", list(motion.REVERSED), inputs={"fps": 0.0, "short_side": 0}
    )
    example = pipeline.open_records(tmp_path / "out", ["test"])[0]
    assert (len(example.images), example.fps, example.height) == (24, 12, 64)


def test_the_command_prints_the_error_and_exits(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr("sys.argv", ["make_records", str(tmp_path / "empty"), "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit, match="has no videos") as stopped:
        make_records.main()
    assert stopped.value.code  # a message is status 1
    assert not (tmp_path / "out").exists()


def test_invalid_runners(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)  # as if Beam were not installed
    with pytest.raises(ValueError, match=r"needs apache_beam, which is not installed: pip install -e '\.\[beam\]'"):
        make(folder, "--out", tmp_path / "out", "--runner", "beam")
    arguments = [str(folder), "--out", str(tmp_path / "out"), "--", "--runner=FlinkRunner"]
    with pytest.raises(ValueError, match="Options after -- need --runner beam: --runner=FlinkRunner"):
        make_records.make_records(make_records.parse_args(arguments))
    with pytest.raises(ValueError, match="gs:/bucket/out is not a local directory"):
        make(folder, "--out", "gs://bucket/out")
    assert not (tmp_path / "out").exists()


def test_motion_with_one_label_per_frame(tmp_path):
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
    with pytest.raises(ValueError, match="--concatenate 2: give 1 or more; more than 1 needs the source motion"):
        make_records.make_records(make_records.parse_args([str(tmp_path), "--concatenate", "2", "--out", str(out)]))


def test_motion_with_background(tmp_path):
    make("motion", "--concatenate", 2, "--background", 6, "--motion_videos", 1, 1, 1, "--out", tmp_path / "out")
    source = pipeline.open_records(tmp_path / "out", ["train"])
    assert source.info.labels == ["background", *motion.CLASSES]
    assert source.info.time_reversal[:3] == [0, 2, 1]
    example = source[0]
    assert len(example.images) == 2 * 24 + 3 * 6 and list(example.frame_labels).count(0) == 18
    for segment in example.segments:
        first, last = round(segment.start * 12), round(segment.end * 12)
        assert set(example.frame_labels[first:last]) == {segment.label} and (last - first) % 24 == 0
    with pytest.raises(ValueError, match="--background 6: give 0 or more frames, with --concatenate of 2 or more"):
        make("motion", "--background", 6, "--out", tmp_path / "x")


def test_a_killed_run_continues_and_writes_the_same_files(tmp_path):
    arguments = ["motion", "--motion_videos", "16", "8", "8", "--num_shards", "2", "--short_side", "32"]
    arguments += ["--out", str(tmp_path / "out")]
    assert make_records.make_records(make_records.parse_args(arguments)) is None
    (tmp_path / "out").rename(tmp_path / "whole")  # records store the paths of their videos
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
                dataset_info.read(tmp_path / "out")
        os.killpg(process.pid, signal.SIGKILL)  # its workers too
        killed += process.wait() < 0
    assert killed and len(contents(tmp_path / "out")) < 6
    subprocess.run(command, check=True, capture_output=True)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert dataset_info.read(tmp_path / "out") == dataset_info.read(tmp_path / "whole")


def test_classes_are_counted_and_ignored_files_are_listed(folder, tmp_path, capsys):
    shutil.copytree(folder, tmp_path / "around/videos")
    (tmp_path / "around/videos/a/notes.txt").touch()
    (tmp_path / "around/annotations").mkdir()
    assert make(tmp_path / "around", "--out", tmp_path / "out") is None
    lines = capsys.readouterr().out.splitlines()
    assert lines[:5] == [
        f"warning: no videos in annotations of {tmp_path}/around; ignored.",
        f"note: {tmp_path}/around holds only the folder videos; reading its content.",
        "ignored: 1 .txt files, like videos/a/notes.txt.",
        "If some of these are videos, list them in a CSV (path,label).",
        "class   train  val  test  all",
    ]
    assert dataset_info.read(tmp_path / "out").labels == ["a", "b"]


def test_frame_folders_become_videos(tmp_path):
    for split in ("train", "test"):
        for label, base in (("a", 0), ("b", 100)):
            directory = tmp_path / "videos" / split / label / "v"
            directory.mkdir(parents=True)
            for i in range(4):
                cv2.imwrite(str(directory / f"img_{i:05d}.png"), np.full((32, 32, 3), base + 10 * i, np.uint8))
    assert make(tmp_path / "videos", "--out", tmp_path / "out", "--format", "png") is None
    source = pipeline.open_records(tmp_path / "out", ["train"])
    frames = [[cv2.imdecode(np.frombuffer(x, np.uint8), 0).mean() for x in source[i].images] for i in range(2)]
    assert frames == [[0, 10, 20, 30], [100, 110, 120, 130]]


def test_a_video_without_any_label(folder, tmp_path):
    rows = ["path,label,split", f"{folder}/a/0.mp4,x|y,train", f"{folder}/a/1.mp4,,train"]
    (tmp_path / "videos.csv").write_text("\n".join(rows))
    assert make(tmp_path / "videos.csv", "--out", tmp_path / "out") is None
    source = pipeline.open_records(tmp_path / "out", ["train"])
    arguments = {"num_frames": 2, "size": 16, "multi_label": True}
    (batch,) = pipeline.eval_batches(source, {**arguments, "num_views": 1}, batch_size=2)
    assert batch["target"].tolist() == [[1, 1], [0, 0]]


def test_splits_of_groups_that_look_alike(folder, tmp_path):
    rows = [f"{folder}/a/{i}.mp4,a,{person}" for i, person in enumerate(("张伟", "王芳", "a b", "a-b", "A-B"))]
    (tmp_path / "videos.csv").write_text("\n".join(["path,label,person", *rows]), encoding="utf-8")
    assert make(tmp_path / "videos.csv", "--out", tmp_path / "out", "--split_by", "person") is None
    found = tfrecords.find_splits(tmp_path / "out")
    assert len(found) == 5 and {"person_张伟", "person_王芳"} < set(found)
    assert all(len(pipeline.open_records(tmp_path / "out", [split])) == 1 for split in found)


def test_errors_come_before_anything_is_written(folder, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="--out .*file: .*file is not a directory"):
        make("motion", "--out", tmp_path / "file")
    for arguments, message in (
        (("--quality", 0), "--quality 0: give 1 to 100"),
        (("--horizontal_flip", "left:right"), "give unchanged, forbidden or CLASS:CLASS,... of a, b"),
        (("--split_by", "person"), "--split_by is for a CSV or list"),
        (("--format", "mp4", "--quality", 90), "--quality 90: give 0 to 51"),
    ):
        with pytest.raises(ValueError, match=message):
            make(folder, "--out", tmp_path / "out", *arguments)
    (tmp_path / "videos.csv").write_text("path,label\nnone.mp4,a\nnothing.mp4,b\n")
    with pytest.raises(ValueError, match="2 of 2 videos do not exist, more than --max_bad 0.01 allows"):
        make(tmp_path / "videos.csv", "--out", tmp_path / "out")
    for name in "ab":
        (tmp_path / "images" / name).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "images" / name / "cat.png"), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(ValueError, match="--format mp4 is for videos, but .*cat.png is an image: give --format jpeg"):
        no_split = "--test_fraction", 0, "--val_fraction", 0
        make(tmp_path / "images", "--out", tmp_path / "out", "--format", "mp4", *no_split)
    assert not (tmp_path / "out").exists()


def test_a_system_error_is_one_line(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device", str(tmp_path / "out"))

    monkeypatch.setattr(make_records, "make_records", full)
    monkeypatch.setattr("sys.argv", ["make_records", "motion", "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit, match="make_records: .*out: No space left on device"):
        make_records.main()


def test_untrimmed_videos(folder, tmp_path, capsys):
    """0.mp4 has two segments, one of which ends after it; 1.mp4 has none."""
    rows = [f"{folder}/a/0.mp4,0.2,0.6,walk,train", f"{folder}/a/0.mp4,0.8,9,sit,train", f"{folder}/a/1.mp4,,,,test"]
    (tmp_path / "s.csv").write_text("\n".join(["path,start,end,label,split", *rows]))
    make(tmp_path / "s.csv", "--out", tmp_path / "out", "--untrimmed", "--fps", 5)
    info = dataset_info.read(tmp_path / "out")
    assert info.labels == ["background", "sit", "walk"]
    example = pipeline.open_records(tmp_path / "out", ["train"])[0]
    length = len(example.images) / 5
    assert example.segments == ((0.2, 0.6, 2, "walk"), (0.8, length, 1, "sit"))
    assert list(example.frame_labels) == [0, 2, 2, 0] + [1] * (len(example.images) - 4)
    assert f"1 segments end after the video, at up to 9 s; they were cut at {length:g} s" in capsys.readouterr().out
    empty = pipeline.open_records(tmp_path / "out", ["test"])[0]
    assert not empty.segments and set(empty.frame_labels) == {0}
    with pytest.raises(ValueError, match="--untrimmed is for a CSV or list"):
        make(folder, "--out", tmp_path / "x", "--untrimmed")
