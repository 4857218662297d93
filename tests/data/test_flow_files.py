import struct

import cv2
import numpy as np
import pytest

from vidjax.data import flow_files


def test_flo_of_one_pixel_byte_by_byte(tmp_path):
    flow_files.write_flo(tmp_path / "one.flo", [[[1.0, -2.0]]])
    expected = "50494548 01000000 01000000 0000803f 000000c0"  # PIEH, width 1, height 1, 1.0, -2.0
    assert (tmp_path / "one.flo").read_bytes() == bytes.fromhex(expected)
    assert struct.unpack("<f", b"PIEH") == (202021.25,)


def test_flo_round_trip_and_opencv(tmp_path):
    flow = np.random.default_rng(0).normal(size=(3, 5, 2)).astype(np.float32)
    flow[0, 0] = np.nan, 1e10
    flow_files.write_flo(tmp_path / "new" / "ours.flo", flow)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["ours.flo"]
    back = flow_files.read_flo(tmp_path / "new" / "ours.flo")
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, flow)
    np.testing.assert_array_equal(cv2.readOpticalFlow(str(tmp_path / "new" / "ours.flo")), flow)
    assert cv2.writeOpticalFlow(str(tmp_path / "theirs.flo"), flow)
    np.testing.assert_array_equal(flow_files.read_flo(tmp_path / "theirs.flo"), flow)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is cut short: it has 0 bytes, but the header alone has 12"),
        (b"PIEH\1\0\0", "is cut short: it has 7 bytes, but the header alone has 12"),
        (b"RIFF" + bytes(16), "is not a .flo file: it begins with b'RIFF', not b'PIEH'"),
        (b"PIEH" + struct.pack("<ii", 2, 1) + bytes(15), "is cut short: it has 27 bytes, not 28 as for 2x1"),
        (b"PIEH" + struct.pack("<ii", 2, 1) + bytes(17), "is too long: it has 29 bytes, not 28 as for 2x1"),
        (b"PIEH" + struct.pack("<ii", 0, 1), "the flow is 0x1; sides must be 1 to 99999"),
        (b"PIEH" + struct.pack("<ii", 1, -1) + bytes(8), "the flow is 1x-1; sides"),
        (b"PIEH" + struct.pack("<ii", 100000, 1) + bytes(8), "the flow is 100000x1; sides"),
        # 80 GB by its header: refused by the file size, before allocation
        (b"PIEH" + struct.pack("<ii", 99999, 99999), "is cut short: it has 12 bytes, not 79998400020"),
    ],
)
def test_invalid_flo_files(tmp_path, content, message):
    (tmp_path / "bad.flo").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        flow_files.read_flo(tmp_path / "bad.flo")


def test_missing_file(tmp_path):
    with pytest.raises(ValueError, match="nowhere.flo does not exist"):
        flow_files.read_flo(tmp_path / "nowhere.flo")


def test_flows_that_cannot_be_written(tmp_path):
    for shape in [(4, 4), (4, 4, 3), (1, 4, 4, 2)]:
        with pytest.raises(ValueError, match=r"must be \(height, width, 2\), not "):
            flow_files.write_flo(tmp_path / "bad.flo", np.zeros(shape))
    with pytest.raises(ValueError, match="The flow is 0x4; sides must be"):
        flow_files.write_flo(tmp_path / "bad.flo", np.zeros((4, 0, 2)))
    assert not list(tmp_path.iterdir())
    (tmp_path / "directory.flo").mkdir()
    with pytest.raises(OSError, match="directory.flo"):
        flow_files.write_flo(tmp_path / "directory.flo", np.zeros((4, 4, 2)))
    assert [path.name for path in tmp_path.iterdir()] == ["directory.flo"]  # no partial file


def test_pfm_rows_are_stored_upwards(tmp_path):
    upper, lower = (1.0, -2.0, 0.0), (3.0, 4.5, 0.0)
    for order, scale in (("<", b"-1.0"), (">", b"1.0")):
        numbers = np.array([lower, upper], order + "f4").tobytes()
        (tmp_path / "flow.pfm").write_bytes(b"PF\n1 2\n" + scale + b"\n" + numbers)
        flow, mask = flow_files.read(tmp_path / "flow.pfm")
        assert flow.tolist() == [[[1.0, -2.0]], [[3.0, 4.5]]] and mask.all()


def test_png_of_kitti_level_by_level():
    """readme.txt of devkit_scene_flow: flow_u = (I(u, v, 1) - 2^15) / 64, invalid where I(u, v, 3) = 0."""
    rgb = np.array([[[2**15 + 64, 2**15 - 32, 1], [5, 5, 0]]], np.uint16)
    flow, mask = flow_files.from_png(cv2.imencode(".png", rgb[..., ::-1])[1].tobytes())
    assert flow.tolist() == [[[1.0, -0.5], [0.0, 0.0]]] and mask.tolist() == [[True, False]]


def test_png_round_trip():
    flow = np.array([[[0.25, -3.0], [511.0, 0.0], [512.0, 0.0], [np.nan, 0.0]]], np.float32)
    back, mask = flow_files.from_png(flow_files.to_png(*flow_files.known(flow)))
    assert mask.tolist() == [[True, True, False, False]]
    np.testing.assert_array_equal(back[mask], flow[mask])
    assert (back[~mask] == 0).all()


def test_unknown_flow_is_masked(tmp_path):
    flow_files.write_flo(tmp_path / "a.flo", np.array([[[1.0, 2.0], [1e10, 0.0], [np.nan, 0.0]]]))
    flow, mask = flow_files.read(tmp_path / "a.flo")
    assert flow.tolist() == [[[1, 2], [0, 0], [0, 0]]] and mask.tolist() == [[True, False, False]]


def test_invalid_files(tmp_path):
    (tmp_path / "grey.pfm").write_bytes(b"Pf\n1 1\n-1.0\n" + bytes(12))
    with pytest.raises(ValueError, match="begins with b'Pf', not b'PF'"):
        flow_files.read(tmp_path / "grey.pfm")
    (tmp_path / "short.pfm").write_bytes(b"PF\n2 2\n-1.0\n" + bytes(12))
    with pytest.raises(ValueError, match="short.pfm is not a .pfm file of three channels, or is cut short"):
        flow_files.read(tmp_path / "short.pfm")
    cv2.imwrite(str(tmp_path / "eight.png"), np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(ValueError, match="eight.png is not a PNG of three channels of 16 bits"):
        flow_files.read(tmp_path / "eight.png")
    with pytest.raises(ValueError, match="files of flow end in .flo, .pfm, .png"):
        flow_files.read(tmp_path / "a.txt")
    with pytest.raises(ValueError, match="none.png does not exist"):
        flow_files.read(tmp_path / "none.png")
