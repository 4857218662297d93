import av
import numpy as np
import pytest

from vidjax.data import orientation

# (a, b, c, d) of the display matrix -> the filter of FFmpeg that its players put in for it (fftools/ffmpeg_filter.c)
FILTERS = {
    (1, 0, 0, 1): [],
    (-1, 0, 0, 1): [("hflip", "")],
    (1, 0, 0, -1): [("vflip", "")],
    (-1, 0, 0, -1): [("hflip", ""), ("vflip", "")],
    (0, 1, -1, 0): [("transpose", "clock")],
    (0, -1, 1, 0): [("transpose", "cclock")],
    (0, 1, 1, 0): [("transpose", "cclock_flip")],
    (0, -1, -1, 0): [("transpose", "clock_flip")],
}


def matrix_of(a, b, c, d):
    return np.array([[a << 16, b << 16, 0], [c << 16, d << 16, 0], [0, 0, 1 << 30]], np.int32)


def by_ffmpeg(image, filters):
    graph = av.filter.Graph()
    frame = av.VideoFrame.from_ndarray(image, format="rgb24")
    nodes = [graph.add_buffer(width=frame.width, height=frame.height, format="rgb24", time_base=1)]
    nodes += [graph.add(name, argument) for name, argument in filters] + [graph.add("buffersink")]
    graph.link_nodes(*nodes).configure()
    graph.push(frame)
    return graph.pull().to_ndarray(format="rgb24")


@pytest.mark.parametrize("entries", FILTERS)
def test_all_eight_orientations_are_those_of_ffmpeg(entries):
    image = np.random.default_rng(0).integers(0, 255, (16, 32, 3), np.uint8)
    ours = orientation.upright(image, matrix_of(*entries))
    np.testing.assert_array_equal(ours, by_ffmpeg(image, FILTERS[entries]))


def test_by_hand():
    image = np.array([[1, 2, 3], [4, 5, 6]])[..., None]
    assert orientation.upright(image, matrix_of(-1, 0, 0, 1))[..., 0].tolist() == [[3, 2, 1], [6, 5, 4]]
    assert orientation.upright(image, matrix_of(0, 1, -1, 0))[..., 0].tolist() == [[4, 1], [5, 2], [6, 3]]  # clockwise


def test_angles_in_between_are_rounded():
    image = np.arange(6).reshape(2, 3, 1)
    turned = (np.array([[0.2, 0.98, 0], [-0.98, 0.2, 0], [0, 0, 1]]) * 65536).astype(np.int32)
    np.testing.assert_array_equal(orientation.upright(image, turned), np.rot90(image, -1))


def test_the_matrix_of_a_file(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 16, "yuv420p"
        stream.set_display_matrix(matrix_of(0, 1, 1, 0).ravel().tolist())
        image = np.zeros((16, 32, 3), np.uint8)
        image[:, :8] = 200  # bright on the left: above, transposed
        container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    with av.open(str(tmp_path / "a.mp4")) as container:
        shown = orientation.ToImage()(next(container.decode(video=0)))
    assert shown.shape == (32, 16, 3)
    assert shown[:7].min() > 180 and shown[9:].max() < 20
