import cv2
import numpy as np

from vidjax.data import burn_in, video
from vidjax.data.segment_files import Segment


def test_labels_are_drawn_into_the_frames_of_their_segments(tmp_path):
    video.write_video(tmp_path / "a.mp4", np.full((10, 48, 64, 3), 128, np.uint8), 10.0)
    segments = [Segment(0.2, 0.5, "walk", 0.9), Segment(0.4, 0.6, "a very long label that does not fit", 0.5)]
    burn_in.write(tmp_path / "a.mp4", segments, tmp_path / "b.mp4")
    read = video.read_video(tmp_path / "b.mp4")
    assert read.frames.shape == (10, 48, 64, 3) and read.fps == 10
    changed = [np.abs(frame.astype(int) - 128).max() > 60 for frame in read.frames]
    assert changed == [False] * 2 + [True] * 4 + [False] * 4
    assert np.abs(read.frames[2, :30].astype(int) - 128).max() < 20  # the label is at the bottom


def test_a_damaged_file_gives_the_frames_that_can_be_decoded(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in (1, 2, 3, 5):  # frame 4 is missing
        cv2.imwrite(str(folder / f"{number}.png"), np.full((16, 16, 3), 128, np.uint8))
    burn_in.write(folder, [Segment(0, 1, "walk", 0.9)], tmp_path / "b.mp4")
    assert len(video.read_video(tmp_path / "b.mp4").frames) == 4


def test_labels_stay_within_the_frame():
    frame = burn_in.draw(np.zeros((40, 60, 3), np.uint8), ["a very long label that does not fit"])
    assert frame.max() > 100 and not frame[:, 58:].any()
