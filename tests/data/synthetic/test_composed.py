import csv

import numpy as np
import pytest

from vidjax.data import video
from vidjax.data.sources.items import Item
from vidjax.data.synthetic import composed
from vidjax.data.synthetic.composed import Part


def frames(*values: int) -> list[np.ndarray]:
    """A frame of 16x16 pixels of each value."""
    return [np.full((16, 16, 3), value, np.uint8) for value in values]


def values(of_frames) -> list[int]:
    return [int(frame[0, 0, 0]) for frame in of_frames]


def test_paths_go_straight_on_and_are_never_frozen():
    for seed in range(20):
        path = composed.to_and_fro(np.random.default_rng(seed), 5, 40)
        assert path[:5].tolist() == [0, 1, 2, 3, 4] and len(path) == 40
        assert (np.abs(np.diff(path)) == 1).all() and path.min() >= 0 and path.max() <= 4
    assert len({tuple(composed.to_and_fro(np.random.default_rng(seed), 5, 40)) for seed in range(20)}) == 20
    assert composed.to_and_fro(np.random.default_rng(0), 5, 3).tolist() == [0, 1, 2]
    assert composed.to_and_fro(np.random.default_rng(0), 1, 3).tolist() == [0, 0, 0]


def test_a_video_runs_on_across_its_boundaries():
    """Clips 10, 11, ..., 19 and 210, ..., 217, with three frames of each end in the background."""
    parts = [Part(5, 3, 4, 3), Part(12, 3, 2, 3), Part(6, 0, 0, 0)]
    clips = [iter(frames(*range(10, 20))), iter(frames(*range(210, 218)))]
    found = values(composed.compose(clips, parts, np.random.default_rng(0)))
    assert len(found) == 5 + 4 + 12 + 2 + 6
    assert found[5:9] == [13, 14, 15, 16] and found[21:23] == [213, 214]  # the segments
    assert found[2:5] == [10, 11, 12] and found[23:26] == [215, 216, 217]  # before the first and after the last
    between = found[9:21]
    assert set(between[:3]) <= {*range(17, 230)} and between[0] >= 17 and between[-1] <= 212
    assert {*found[:5]} <= {10, 11, 12} and {*found[23:]} <= {215, 216, 217}


def test_background_goes_straight_at_both_ends():
    for seed in range(10):
        found = values(composed.background(np.random.default_rng(seed), [], frames(1, 2, 3, 4, 5), 30))
        assert found[-5:] == [1, 2, 3, 4, 5] and len({*found[:10]}) > 1
        found = values(composed.background(np.random.default_rng(seed), frames(1, 2, 3, 4, 5), [], 30))
        assert found[:5] == [1, 2, 3, 4, 5] and len({*found[-10:]}) > 1


def test_a_fade_is_slow_and_lies_at_a_drawn_place():
    places = set()
    for seed in range(20):
        found = values(composed.background(np.random.default_rng(seed), frames(50, 50), frames(150, 150), 20))
        assert found == sorted(found) and max(np.diff(found)) <= 10  # 100 levels in 11 steps, not at once
        assert sum(50 < value < 150 for value in found) == 10
        places.add(found.count(50))
    assert min(places) < 3 and max(places) > 7


def test_lengths_are_drawn_and_fit_the_clip():
    rng = np.random.default_rng(0)
    parts = composed.draw_parts(rng, [100] * 50 + [3, 4], 20.0, 2.0)
    assert {sum(part[1:]) for part in parts[:50]} == {100}
    for name, least, most in (("background", 20, 60), ("head", 5, 15), ("tail", 5, 15)):
        drawn = [getattr(part, name) for part in parts[:50]]
        assert least <= min(drawn) < 1.2 * least and 0.9 * most < max(drawn) <= most
    assert [part[1:] for part in parts[50:]] == [(1, 1, 1), (1, 2, 1), (0, 0, 0)]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Four clips of 12 frames of 24x32 pixels at 10 per second, in two scenes; the last has 4 still ones more."""
    folder = tmp_path_factory.mktemp("clips")
    for number in range(4):
        moving = [np.full((24, 32, 3), 60 * number + 5 * i, np.uint8) for i in range(12)]
        moving = [*moving[:1] * 2, *moving, *moving[-1:] * 2] if number == 3 else moving
        video.write_video(folder / f"{number}.mp4", moving, 10)
    path = folder / "labels.csv"
    path.write_text("path,label,scene\n0.mp4,wave,a b\n1.mp4,clap,a b\n2.mp4,wave,c\n3.mp4,clap,c\n")
    return path


def test_the_command(table, tmp_path, capsys):
    arguments = [str(table), "--group", "scene", "--size", "16", "32", "--background", "1", "--out"]
    for out in ("first", "again"):
        composed.main([*arguments, str(tmp_path / out)])
    assert "2 videos of 4 clips" in capsys.readouterr().out
    assert (tmp_path / "first/c.mp4").read_bytes() == (tmp_path / "again/c.mp4").read_bytes()
    with open(tmp_path / "first/segments.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["path"], row["scene"]) for row in rows] == [("a_b.mp4", "a b")] * 2 + [("c.mp4", "c")] * 2
    assert {row["label"] for row in rows[:2]} == {row["label"] for row in rows[2:]} == {"wave", "clap"}
    found = video.read_video(tmp_path / "first/c.mp4")
    assert found.frames.shape[1:] == (16, 32, 3) and found.fps == 10
    for row in rows[2:]:  # the frames of a segment are those of its clip, in order
        start, end = (round(10 * float(row[name])) for name in ("start", "end"))
        of_clip = video.read_video(table.with_name({"wave": "2.mp4", "clap": "3.mp4"}[row["label"]])).frames[:, 0, 0, 0]
        inside = found.frames[start:end, 8, 8, 0].astype(int)
        first = np.abs(of_clip - inside[0].astype(int)).argmin()
        np.testing.assert_allclose(inside, of_clip[first : first + len(inside)], atol=2)
        assert first > 0 and len(inside) < 12
    assert composed.moving_part(Item(str(table.with_name("3.mp4")), ("clap",)), 10, (16, 16)) == range(2, 14)


def test_the_order_depends_on_the_seed(table, tmp_path):
    orders = set()
    for seed in range(6):
        composed.main(
            [str(table), "--group", "scene", "--size", "16", "16", "--seed", str(seed), "--out", str(tmp_path)]
        )
        orders.add((tmp_path / "segments.csv").read_text().splitlines()[1].split(",")[3])
    assert orders == {"wave", "clap"}


@pytest.mark.parametrize(
    "rows, message",
    [
        ("path,label,scene\n0.mp4,wave,a\n1.mp4,clap,b\n2.mp4,wave,b\n", "'a' has one clip; give a column whose"),
        ("path,label\n0.mp4,wave\n1.mp4,clap\n", "--group scene: no such column; there are .'label', 'path'."),
        ("path,label,scene\n0.mp4,wave|clap,a\n1.mp4,clap,a\n", "0.mp4 has 2 labels: give each clip exactly one"),
        ("path,label,scene,start,end\n0.mp4,wave,a,0,0.2\n1.mp4,clap,a,0,1\n", "has 2 frames, but a clip needs 3"),
        ("path,label,scene,start,end\n0.mp4,wave,a,5,6\n1.mp4,clap,a,0,1\n", "0.mp4 has 0 frames, but a clip needs 3"),
    ],
)
def test_tables_that_cannot_be_composed(rows, message, table, tmp_path):
    wrong = table.with_name("wrong.csv")
    wrong.write_text(rows)
    with pytest.raises(SystemExit, match=message):
        composed.main([str(wrong), "--group", "scene", "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_impossible_settings(table, tmp_path):
    with pytest.raises(SystemExit, match="--group label: the segments have a column of that name"):
        composed.main([str(table), "--group", "label", "--out", str(tmp_path)])
    with pytest.raises(SystemExit, match="--background 0, --seed 0: give at least 16 pixels, a positive number"):
        composed.main([str(table), "--group", "scene", "--background", "0", "--out", str(tmp_path)])
