import numpy as np
import pytest

from vidjax.data import video
from vidjax.data.sources import omniglot
from vidjax.data.synthetic import strokes

CORNER = """START
20,-10,1000
60,-10,2000
BREAK
20,-90,4000
60,-90,5000
BREAK
"""  # in a second a line to the right at the top, two seconds later one at the bottom


@pytest.fixture
def corner(tmp_path):
    path = tmp_path / "0001_01.txt"
    path.write_text(CORNER)
    return strokes.read_strokes(path)


def ink(frame):
    """Returns x and y of the ink's bounding box."""
    y, x = np.nonzero(frame[..., 0] < 128)
    return [x.min(), x.max(), y.min(), y.max()] if len(x) else None


def test_y_points_down_and_time_starts_at_0(corner):
    np.testing.assert_array_equal(corner, [[[20, 10, 0], [60, 10, 1]], [[20, 90, 3], [60, 90, 4]]])


def test_time_does_not_go_back(tmp_path):
    path = tmp_path / "0001_01.txt"
    path.write_text("START\n1,-1,0\n2,-1,50\n3,-1,20\nBREAK\n4,-1,40\n5,-1,60\nBREAK\n")
    assert [stroke[:, 2].tolist() for stroke in strokes.read_strokes(path)] == [[0, 0.05, 0.05], [0.05, 0.06]]


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "line 1: '' must be START"),
        ("1,-1,0\nBREAK\n", "line 1: '1,-1,0' must be START"),
        ("START\n1,-1,0\n1,-1\nBREAK\n", "line 3: '1,-1' must be BREAK or x,y,t"),
        ("START\n1,-1,nan\nBREAK\n", "line 2: '1,-1,nan' must be BREAK or x,y,t"),
        ("START\n1,-1,0\nBREAK\nBREAK\n", "line 4: BREAK ends a stroke without a point"),
        ("START\n1,-1,0\nBREAK\n2,-2,9\n", "line 4: '2,-2,9' must be BREAK, the end of a stroke"),
        ("START\n\n1,-1,0\nBREAK\n", "line 2: '' must be BREAK or x,y,t"),
        ("START\n", "line 1: 'START' must be BREAK"),
    ],
)
def test_an_invalid_line_is_named(tmp_path, text, message):
    path = tmp_path / "0001_01.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"0001_01.txt, {message}"):
        strokes.read_strokes(path)


def test_ink_stays_in_a_cumulative_video(corner):
    film = strokes.clip(corner, num_frames=5)  # at 0, 1, 2, 3 and 4 s
    assert film.shape == (5, 105, 105, 3) and film.dtype == np.uint8
    assert [ink(frame) for frame in film] == [
        [18, 22, 8, 12],
        [18, 62, 8, 12],
        [18, 62, 8, 12],
        [18, 62, 8, 92],
        [18, 62, 8, 92],
    ]
    assert (np.diff(film.astype(int), axis=0) <= 0).all()  # no ink disappears


def test_a_pen_only_video_shows_a_blob_where_the_pen_is(corner):
    film = strokes.clip(corner, num_frames=9, pen_only=True)  # every 0.5 s
    middles = [box and ((box[0] + box[1]) / 2, (box[2] + box[3]) / 2) for box in map(ink, film)]
    top, bottom = [(x, 10) for x in (20, 40, 60)], [(x, 90) for x in (20, 40, 60)]
    assert middles == [*top, None, None, None, *bottom]
    assert all(box is None or box[1] - box[0] <= 2 * strokes.BLOB for box in map(ink, film))


def test_real_time_has_one_frame_per_twelfth_of_a_second(corner):
    film = strokes.clip(corner, real_time=True)
    assert len(film) == 4 * 12 + 1
    np.testing.assert_array_equal(film[::12], strokes.clip(corner, num_frames=5))


def test_the_whole_drawing_is_in_the_last_frame_at_any_rate(corner):
    corner[-1][-1, 2] = 4.01  # between two frames
    film = strokes.clip(corner, real_time=True)
    assert len(film) == 50 and ink(film[-1]) == [18, 62, 8, 92]


def test_a_trajectory_tells_where_the_pen_is_lifted(corner):
    features = strokes.trajectory(corner)
    assert features.dtype == np.float32
    left, right, top, bottom = (2 * x / 105 - 1 for x in (20, 60, 10, 90))
    expected = [(left, top, 1, 0), (right, top, 0, 1 / 4), (left, bottom, 1, 3 / 4), (right, bottom, 0, 1)]
    np.testing.assert_allclose(features, expected, rtol=1e-6)
    np.testing.assert_allclose(strokes.trajectory(corner, real_time=True)[:, 3], [0, 1, 3, 4])


def test_videos_are_written_and_kept(tmp_path):
    source, path = tmp_path / "0001_01.txt", tmp_path / "videos/a.mp4"
    source.write_text(CORNER)
    strokes.render([(path, source)], pen_only=True, num_workers=1)
    film = video.read_video(path)
    assert film.frames.shape == (24, 106, 106, 3) and film.fps == 12  # H.264 has even sides
    assert ink(film.frames[0])[0] in (16, 17) and ink(film.frames[12]) is None
    source.unlink()
    strokes.render([(path, source)], pen_only=True, num_workers=1)  # nothing to do


def test_the_last_frame_is_the_published_image(shared_data):
    images, drawings = (omniglot.find(shared_data / "omniglot_small", kind, print) for kind in ("images", "strokes"))
    overlaps = []
    for image, drawing in list(zip(images, drawings, strict=True))[::200]:
        assert (image.label, image.name) == (drawing.label, drawing.name)
        drawn = strokes.clip(strokes.read_strokes(drawing.path), num_frames=2)[-1, ..., 0] < 128
        published = omniglot.read_image(image.path) < 128
        overlaps.append((drawn & published).sum() / (drawn | published).sum())
    assert len(overlaps) == 25 and min(overlaps) > 0.8 and np.mean(overlaps) > 0.9
