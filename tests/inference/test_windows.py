import json
import sys
import weakref
from fractions import Fraction
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest

from vidjax import predict
from vidjax.data import video
from vidjax.inference import restore, views, windows

CLIP = {"num_frames": 4, "frame_stride": 2, "size": 24, "resize": (28, 36), "sampling": "clip"}
FPS = 12


def network(clip=CLIP, inputs=None, **spec):
    """The attributes of a network that `cut_windows` uses."""
    return SimpleNamespace(name="n", clip=clip, inputs=inputs or {}, preprocess=spec, multi_label=False, labels=["a"])


def write_lossless(path, frames, times):
    """Writes frames, uint8 (T, H, W, 3), at times in seconds, without loss: FFV1 in Matroska."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=FPS)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "bgr0"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for frame, time in zip(frames, times, strict=True):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts, picture.time_base = round(1000 * time), Fraction(1, 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    """5.5 s at 12 frames per second: a texture of 32x44 that moves to the right, one pixel per frame."""
    texture = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (32, 128, 3)).astype(np.uint8), (5, 5), 0)
    frames = np.stack([np.roll(texture, i, axis=1)[:, :44] for i in range(66)])
    return write_lossless(tmp_path_factory.mktemp("moving") / "moving.mkv", frames, np.arange(66) / FPS)


def starts_and_ends(found):
    return [(window.start, round(window.end, 2)) for window in found]


def test_the_windows_of_a_video(moving):
    def cut(seconds, hop):
        return starts_and_ends(windows.cut_windows(moving, [network()], seconds, hop))

    assert cut(2, 2) == [(0, 2), (2, 4), (4, 5.5)]  # 1.5 s are more than half a window
    assert cut(4, 4) == [(0, 4)]  # 1.5 s are less than half a window
    assert cut(2, 1.5) == [(0, 2), (1.5, 3.5), (3, 5), (4.5, 5.5)]  # one shorter window, even where several would fit
    assert cut(2, 0.5)[-2:] == [(3, 5), (3.5, 5.5)]  # the last one ends with the video
    assert cut(1, 3) == [(0, 1), (3, 4)]
    assert cut(20, 20) == [(0, 5.5)]  # the whole video is shorter than a window
    assert cut(0.25, 0.25)[-1] == (5.25, 5.5) and len(cut(0.25, 0.25)) == 22


@pytest.mark.parametrize(
    ("clip", "inputs", "seconds", "hop"),
    [
        ({}, {}, 2.0, 2.0),
        ({"num_frames": 16}, {}, 1.0, 0.5),  # longer than the windows: wraps around
        ({}, {"fps": 5.0, "short_side": 30}, 1.5, 0.7),  # windows begin between the frames at 5 per second
        ({"frame_stride": 1}, {"fps": 30.0}, 1.3, 0.9),  # more frames than the file has
        ({"sampling": "segments"}, {"fps": 6.0}, 2.0, 1.0),
        ({"streams": ("flow",)}, {"flow": "opencv_farneback", "short_side": 30}, 2.0, 2.0),
        ({"streams": ("video", "flow")}, {"flow": "opencv_farneback", "fps": 6.0}, 2.0, 1.5),
    ],
)
def test_a_window_is_what_prediction_sees_of_the_trimmed_file(clip, inputs, seconds, hop, moving, tmp_path):
    run, plain = network(CLIP | clip, inputs), network()
    found = list(windows.cut_windows(moving, [plain, run], seconds, hop))
    assert len(found) > 2
    rate = inputs.get("fps", FPS)
    for window in found:
        part = video.read_video(moving, fps=inputs.get("fps"), start=window.start, end=window.end).frames
        trimmed = write_lossless(tmp_path / f"{window.start}.mkv", part, np.arange(len(part)) / rate)
        expected = views.read_views(trimmed, run.clip, inputs | {"fps": 0.0})
        assert expected.keys() == window.views[1].keys() == set(run.clip.get("streams", ["video"]))
        for stream, of_stream in expected.items():
            np.testing.assert_array_equal(window.views[1][stream], of_stream)


def test_uneven_frames_and_windows_without_any(tmp_path, capsys):
    times = [0, 0.1, 0.2, 0.9, 1.0, 5.0, 5.1]  # from 1 to 5 s the picture stands still
    frames = np.stack([np.full((24, 24, 3), 30 * i, np.uint8) for i in range(7)])
    path = write_lossless(tmp_path / "uneven.mkv", frames, times)
    clip = {"num_frames": 2, "frame_stride": 1, "size": 24, "resize": 0}

    def numbers(fps):
        found = windows.cut_windows(path, [network(clip, {"fps": fps})], 1, 1, 1)
        return {window.start: (window.views[0]["video"][0, :, 0, 0, 0] // 30).tolist() for window in found}

    assert numbers(0.0) == {0: [1, 2], 1: [4, 4]}  # from 5 s on, less than half a window is left
    assert f"{path}, 2.00 to 3.00 s: the file has no frame in this window" in capsys.readouterr().err
    assert numbers(2.0) == {0: [0, 2], 1: [4, 4], 2: [4, 4], 3: [4, 5], 4: [5, 5]}  # 3.0 is halfway: the earlier one
    with pytest.raises(ValueError, match="is not a video that FFmpeg can read"):
        path.write_text("text")
        list(windows.cut_windows(path, [network(clip)], 1, 1))


def test_an_image_is_one_window_at_any_rate(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((32, 44, 3), np.uint8))  # lasts 1/25 s
    (window,) = windows.cut_windows(tmp_path / "a.png", [network(inputs={"fps": 5.0})], 1, 1)
    assert window.end == 0.04 and window.views[0]["video"].shape[:2] == (1, 4)


def test_a_folder_of_frames(tmp_path):
    for i in range(10):
        cv2.imwrite(str(tmp_path / f"frame_{i:04}.png"), np.full((24, 24, 3), 20 * i, np.uint8))
    clip = {"num_frames": 2, "frame_stride": 1, "size": 24, "resize": 0}
    found = list(windows.cut_windows(tmp_path, [network(clip)], 1, 1, 1, folder_fps=4))
    assert starts_and_ends(found) == [(0, 1), (1, 2), (2, 2.5)]
    assert [(window.views[0]["video"][0, :, 0, 0, 0] // 20).tolist() for window in found] == [[1, 2], [5, 6], [8, 9]]


def test_the_file_is_decoded_once_and_few_frames_are_in_memory(moving, monkeypatch):
    passes, alive, most, keep = [], 0, 0, windows._keep
    iterate = video.iterate_frames
    monkeypatch.setattr(video, "iterate_frames", lambda *a, **k: passes.append(a) or iterate(*a, **k))

    def counted(run, frame):
        nonlocal alive, most
        kept = keep(run, frame)
        alive, most = alive + 1, max(most, alive + 1)
        weakref.finalize(kept["video"], gone)
        return kept

    def gone():
        nonlocal alive
        alive -= 1

    monkeypatch.setattr(windows, "_keep", counted)
    assert len(list(windows.cut_windows(moving, [network()], 0.5, 0.25))) == 21
    assert len(passes) == 1
    assert most <= 8  # 6 of the window, the next one and the previous one


def test_clips_are_collected_for_each_call(moving):
    """Two networks that return the brightness of their clips; the first has two clips per window, the other one."""
    calls = []

    def logits_of(clip):
        calls.append(len(clip["video"]))
        return clip["video"].mean(axis=(1, 2, 3, 4))[:, None] * np.array([0.1, 0])

    runs = [network(CLIP), network(CLIP | {"sampling": "segments"})]
    found = list(windows.predict_windows(moving, runs, [logits_of] * 2, 1, 1, 2, at_once=4, weights=[3, 1]))
    assert [round(end - start, 2) for start, end, _ in found] == [1] * 5 + [0.5]
    assert calls == [4, 2] * 3
    for window, (_, _, probabilities) in zip(windows.cut_windows(moving, runs, 1, 1, 2), found, strict=True):
        first, second = (1 / (1 + np.exp(-0.1 * x["video"].mean(axis=(1, 2, 3, 4)))) for x in window.views)
        np.testing.assert_allclose(probabilities[0], 0.75 * first.mean() + 0.25 * second.mean(), rtol=1e-5)


def test_lengths_that_cannot_be(moving):
    for seconds, hop, message in (
        (0, 1, "--windows 0: give a positive"),
        (float("nan"), 1, "--windows nan: give a positive"),
        (float("inf"), 1, "--windows inf: give a positive"),
        (1, -1, "--hop -1: give a positive"),
        (1, 0.05, "--hop 0.05 is shorter than a frame at 12 frames per second: 0.0833 s"),
    ):
        with pytest.raises(ValueError, match=message):
            list(windows.cut_windows(moving, [network()], seconds, hop))
    with pytest.raises(ValueError, match="--windows 0.2 is shorter than a frame at 2 frames per second"):
        list(windows.cut_windows(moving, [network(), network(inputs={"fps": 2.0})], 0.2, 1))
    assert next(windows.cut_windows(moving, [network()], 0.0834, 0.0834)).views[0]["video"].shape[0] == 1


# ------------------------------------------------------------------------------------------------ the command


def command(monkeypatch, *arguments) -> int:
    monkeypatch.setattr(sys, "argv", ["predict", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        predict.main()
    return stopped.value.code


def test_the_command_prints_a_line_per_window(tiny_run, tmp_path, monkeypatch, capsys):
    """A motion video of 2 s, windows of 1 s: the printed results are those of the trimmed parts."""
    path = tiny_run.videos["test"][0]
    arguments = (path, "--workdir", tiny_run.workdir, "--windows", 1, "--hop", 0.75)
    assert command(monkeypatch, *arguments, "--json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["video"], line["start"], line["end"]) for line in lines] == [
        (str(path), 0, 1),
        (str(path), 0.75, 1.75),
        (str(path), 1.5, 2),  # half a window
    ]
    run = restore.from_run(tiny_run.workdir)
    logits_fn = predict.make_logits_fn(run)
    for line in lines:
        part = video.read_video(path, start=line["start"], end=line["end"]).frames
        trimmed = write_lossless(tmp_path / f"{line['start']}.mkv", part, np.arange(len(part)) / 12)
        expected = predict.top_classes(run, predict.predict(run, logits_fn, trimmed), 5)
        assert [entry["label"] for entry in line["top"]] == [entry["label"] for entry in expected]
        found = [entry["probability"] for entry in line["top"]]
        np.testing.assert_allclose(found, [entry["probability"] for entry in expected], rtol=1e-4)
    assert command(monkeypatch, *arguments, "--top", 2) == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 3 and printed[1].startswith(f"{path}  0.75 to 1.75 s ") and printed[1].count(" %  ") == 2


def test_an_exported_network_sees_the_same_windows(exported_run, tiny_run, monkeypatch, capsys):
    results = []
    for place in (("--workdir", tiny_run.workdir), ("--exported", exported_run)):
        assert command(monkeypatch, tiny_run.videos["test"][1], *place, "--windows", 1, "--json", "--top", 1) == 0
        results.append([json.loads(line) for line in capsys.readouterr().out.splitlines()])
    assert [line["start"] for line in results[0]] == [0, 1]
    for line, of_export in zip(*results, strict=True):
        assert line["end"] == of_export["end"] and line["top"][0]["label"] == of_export["top"][0]["label"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--windows", "0"], "--windows 0: give a positive number of seconds"),
        (["--windows", "nan"], "--windows nan: give a positive"),
        (["--windows", "1", "--hop", "0"], "--hop 0: give a positive number of seconds"),
        (["--windows", "1", "--hop", "-2"], "--hop -2: give a positive number of seconds"),
        (["--hop", "1"], "give their length with --windows SECONDS"),
        (["--stream", "camera", "--windows", "1"], "Give either videos or one --stream"),
    ],
)
def test_the_command_says_what_is_wrong(arguments, message, tiny_run, monkeypatch, capsys):
    assert command(monkeypatch, tiny_run.videos["test"][0], "--workdir", tiny_run.workdir, *arguments) == 2
    assert message in capsys.readouterr().err


def test_a_stream_has_no_windows(monkeypatch, capsys):
    assert command(monkeypatch, "--stream", "camera", "--workdir", "w", "--windows", "1") == 2
    assert "--windows is for files" in capsys.readouterr().err


def test_a_window_shorter_than_a_frame(tiny_run, monkeypatch, capsys):
    assert command(monkeypatch, tiny_run.videos["test"][0], "--workdir", tiny_run.workdir, "--windows", "0.01") == 1
    assert "--windows 0.01 is shorter than a frame at 12 frames per second" in capsys.readouterr().err
