"""Fixtures that several test files share. They are small, made once, and need neither network nor accelerator."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from vidjax.data import records


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real videos and published outputs, where VIDJAX_TEST_DATA says that they are."""
    if "VIDJAX_TEST_DATA" not in os.environ:
        pytest.skip("real data is not here: set VIDJAX_TEST_DATA to its directory")
    return Path(os.environ["VIDJAX_TEST_DATA"])


def numbered_video(video: int, num_frames: int, height=12, width=16) -> np.ndarray:
    """Frame i of video v: red is 10 * v, green is i, blue the column, so that a clip tells where it was cut."""
    frames = np.zeros((num_frames, height, width, 3), np.uint8)
    frames[..., 0] = 10 * video
    frames[..., 1] = np.arange(num_frames)[:, None, None]
    frames[..., 2] = np.arange(width)
    return frames


def write_numbered(directory: Path, split: str, num_videos: int, num_frames: int, labels=lambda v: [v % 2]):
    """A shard of `numbered_video`s, PNG, 2 classes."""

    def encoded(video):
        frames = numbered_video(video, num_frames)
        images = [cv2.imencode(".png", frame[:, :, ::-1])[1].tobytes() for frame in frames]
        return records.encode(records.Example(images=images, labels=labels(video), media_id=f"video {video}", fps=10.0))

    records.write_shard(records.shard_path(directory, split, 0, 1), map(encoded, range(num_videos)))


@pytest.fixture(scope="session")
def numbered_records(tmp_path_factory) -> Path:
    """A dataset of 11 videos of 9 frames of 12x16, classes "a" and "b", which mirroring swaps."""
    directory = tmp_path_factory.mktemp("numbered")
    write_numbered(directory, "train", 11, 9)
    records.write_info(directory, records.DatasetInfo(["a", "b"], [1, 0], [1, 0]), complete=True)
    return directory
