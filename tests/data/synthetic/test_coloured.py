import numpy as np

from vidjax.data import flow_images, make_records, pipeline
from vidjax.data.synthetic import coloured


def place_of_shape(frame):
    """The mean column of the pixels that are lighter than any background."""
    grey = flow_images.to_grey(frame)
    return np.nonzero(grey > 170)[1].mean()


def test_shapes_move_in_the_direction_of_the_class():
    for label, name in enumerate(coloured.CLASSES):
        film = coloured.clip(label, 3)
        assert film.shape == (24, 64, 64, 3) and film.dtype == np.uint8
        moved = place_of_shape(film[-1]) - place_of_shape(film[0])
        assert np.sign(moved) == (1 if name.endswith("right") else -1) and abs(moved) > 15
        reverse = coloured.clip(coloured.REVERSED[label], 3)[::-1]
        assert np.abs(film.astype(int) - reverse).mean() < 4  # except for sensor noise


def test_the_middle_frame_has_the_colour_and_not_the_direction():
    for label in range(0, 8, 2):
        one, other = (coloured.clip(x, 5)[12].astype(int) for x in (label, coloured.REVERSED[label]))
        assert np.abs(one - other).mean() < 6


def test_colours_are_equally_bright():
    """Grey frames, from which flow is computed, do not reveal the colour."""
    assert coloured.CLASSES == sorted(coloured.CLASSES)
    brightness = [np.dot(rgb, (0.299, 0.587, 0.114)) for rgb in coloured.COLOURS.values()]
    np.testing.assert_allclose(brightness, 190, atol=1)
    greys = {name: [] for name in coloured.COLOURS}
    for seed in range(20):
        for label, name in enumerate(coloured.CLASSES):
            grey = flow_images.to_grey(coloured.clip(label, seed)[0])
            greys[name.split()[0]].append(grey[grey > 170].mean())
    means = [np.mean(values) for values in greys.values()]
    assert np.ptp(means) < 3  # of 190


def test_from_videos_to_records(tmp_path):
    arguments = ["coloured", "--out", str(tmp_path), "--motion_videos", "8", "8", "8", "--short_side", "0"]
    assert make_records.make_records(make_records.parse_args([*arguments, "--flow", "opencv_dis"])) is None
    source = pipeline.open_records(tmp_path, ["train"])
    assert (source.info.labels, source.info.inputs["flow"]) == (coloured.CLASSES, "opencv_dis")
    assert source.info.time_reversal == source.info.horizontal_flip == coloured.REVERSED
    assert [source[i].labels[0] for i in range(8)] == list(range(8)) and len(source[0].flow) == 23
