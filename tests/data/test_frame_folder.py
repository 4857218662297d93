import cv2
import numpy as np
import pytest

from vidjax.data import frame_folder, video


def write_frames(directory, names, height=8, width=12):
    directory.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(names):
        cv2.imwrite(str(directory / name), np.full((height, width, 3), 10 * i, np.uint8))
    return directory


def names_of(paths):
    return [path.name for path in paths]


def test_images_are_in_the_order_of_their_numbers(tmp_path):
    folder = write_frames(tmp_path / "v", ["frame_2.png", "frame_10.png", "frame_1.png"])
    (folder / "notes.txt").touch()
    (folder / ".frame_3.png").touch()
    assert names_of(frame_folder.numbered_images(folder)) == ["frame_1.png", "frame_2.png", "frame_10.png"]


def test_optical_flow_beside_the_frames_does_not_count(tmp_path):
    folder = write_frames(tmp_path / "v", ["img_1.png", "img_2.png", "flow_x_1.png", "flow_y_1.png"])
    assert names_of(frame_folder.numbered_images(folder)) == ["img_1.png", "img_2.png"]
    only_flow = write_frames(tmp_path / "w", ["flow_x_1.png", "flow_x_2.png"])
    assert names_of(frame_folder.numbered_images(only_flow)) == ["flow_x_1.png", "flow_x_2.png"]


@pytest.mark.parametrize("names", [["img_1.png", "img_1.jpg"], ["img_1.png", "img_001.png"]])
def test_a_number_that_is_there_twice(names, tmp_path):
    folder = write_frames(tmp_path / "v", [*names, "img_2.png"])
    with pytest.raises(ValueError, match="v has frame 1 twice, img_.*: remove one sequence"):
        frame_folder.numbered_images(folder)


@pytest.mark.parametrize("names", [["a_1.png", "b_1.png"], ["a_1.png", "cover.png"], []])
def test_other_folders_are_not_one_sequence(names, tmp_path):
    folder = write_frames(tmp_path / "v", names)
    assert frame_folder.numbered_images(folder) == []
    with pytest.raises(ValueError, match="v is not a frame folder: its images must share one name before a number"):
        next(video.iterate_frames(folder))


def test_a_frame_folder_is_read_as_a_video(tmp_path):
    folder = write_frames(tmp_path / "v", [f"{i}.png" for i in range(1, 7)])
    frames, fps, warning = video.read_video(folder)
    assert (frames.shape, fps, warning) == ((6, 8, 12, 3), 25.0, None)
    assert frames[:, 0, 0, 0].tolist() == [0, 10, 20, 30, 40, 50]
    assert video.count_frames(folder) == (6, None)
    half = [frame[0, 0, 0] for frame, _ in video.iterate_frames(folder, fps=5, folder_fps=10)]
    assert half == [0, 20, 40]
    part = [frame[0, 0, 0] for frame, _ in video.iterate_frames(folder, start=0.2, end=0.4, folder_fps=10)]
    assert part == [20, 30]


def test_missing_numbers_are_a_warning(tmp_path):
    folder = write_frames(tmp_path / "v", ["1.png", "2.png", "3.png", "6.png"])
    frames, _, warning = video.read_video(folder)
    assert len(frames) == 4 and "2 numbers are missing between 1.png and 6.png" in warning
    every_fifth = write_frames(tmp_path / "w", ["5.png", "10.png", "15.png"])
    assert video.read_video(every_fifth).warning is None


def test_an_image_that_cannot_be_read(tmp_path):
    folder = write_frames(tmp_path / "v", ["1.png", "2.png"])
    (folder / "2.png").write_bytes(b"not a picture")
    with pytest.raises(ValueError, match="2.png is not an image that OpenCV can read: replace or remove it"):
        video.read_video(folder)
