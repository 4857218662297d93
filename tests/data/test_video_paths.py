import shutil

import cv2
import numpy as np
import pytest

from vidjax.data import video, video_paths


@pytest.fixture
def file(tmp_path):
    """A video."""
    video.write_video(tmp_path / "one.mp4", np.zeros((3, 32, 32, 3), np.uint8), 10.0)
    return tmp_path / "one.mp4"


def write_images(directory, names):
    directory.mkdir(parents=True, exist_ok=True)
    for name in names:
        cv2.imwrite(str(directory / name), np.zeros((8, 8, 3), np.uint8))


def found_in(path):
    videos, others = video_paths.find_videos(path)
    return [[str(found.relative_to(path)) for found in group] for group in (videos, others)]


def test_a_file_is_a_video_whatever_it_holds(file, tmp_path):
    (tmp_path / "notes.txt").write_text("text")
    assert video_paths.find_videos(file) == ([file], [])
    assert video_paths.find_videos(str(tmp_path / "notes.txt")) == ([tmp_path / "notes.txt"], [])


def test_all_videos_below_a_directory_are_found_in_order(file, tmp_path):
    root = tmp_path / "root"
    for name in ("b/c/2.mp4", "a.mkv", "b/unknown.xyz", "b/no_ending", ".hidden.mp4", ".cache/x.mp4", "__MACOSX/y.mp4"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, root / name)
    (root / "b/broken.mp4").write_text("not a video, but named as one: it is to fail, not to vanish")
    (root / "b/readme.txt").write_text("text")
    (root / "b/list.csv").write_text("path,label\na.mkv,x\n")
    write_images(root / "frames", [f"frame_{i:05}.jpg" for i in range(3)])
    write_images(root / "photos", ["cat.jpg", "dog.jpg"])
    assert found_in(root) == [
        ["a.mkv", "b/broken.mp4", "b/c/2.mp4", "b/no_ending", "b/unknown.xyz", "frames"],
        ["b/list.csv", "b/readme.txt", "photos/cat.jpg", "photos/dog.jpg"],
    ]
    described = video_paths.describe_others(root, video_paths.find_videos(root)[1])
    assert described == f"{root}: files without a video: 4 (list.csv, readme.txt, cat.jpg, ...)."


def test_a_folder_of_numbered_images_is_one_video(file, tmp_path):
    frames = tmp_path / "frames"
    write_images(frames, [f"img_{i}.png" for i in (9, 10, 11)])
    assert video_paths.find_videos(frames) == ([frames], [])
    (frames / "sound.wav").write_bytes(b"RIFF")
    assert video_paths.find_videos(frames) == ([frames], [frames / "sound.wav"])
    shutil.copy(file, frames / "img_9.mp4")  # then the images are thumbnails of videos
    assert found_in(frames) == [["img_9.mp4"], ["img_10.png", "img_11.png", "img_9.png", "sound.wav"]]


def test_links_are_followed_once(file, tmp_path):
    root = tmp_path / "root"
    (root / "real").mkdir(parents=True)
    shutil.copy(file, root / "real/a.mp4")
    (root / "real/loop").symlink_to(root)
    outside = tmp_path / "outside"
    outside.mkdir()
    shutil.move(file, outside / "b.mp4")
    (root / "linked").symlink_to(outside)
    assert found_in(root)[0] == ["linked/b.mp4", "real/a.mp4"]


def test_nothing_to_find(tmp_path):
    with pytest.raises(ValueError, match="nowhere does not exist"):
        video_paths.find_videos(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty holds no video. Looked for files in which FFmpeg finds a video, and"):
        video_paths.find_videos(tmp_path / "empty")
    write_images(tmp_path / "photos", ["cat.jpg"])
    with pytest.raises(ValueError, match=r"photos holds no video \(cat.jpg\).*give its own path"):
        video_paths.find_videos(tmp_path / "photos")


def test_sound_with_a_cover_is_not_a_video(shared_data, tmp_path):
    cover = shared_data / "field_cases/cover_only.mp4"
    shutil.copy(cover, tmp_path / "cover.m4a")
    with pytest.raises(ValueError, match="holds no video"):
        video_paths.find_videos(tmp_path)
