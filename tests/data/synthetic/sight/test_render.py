import pytest

from vidjax.data import make_records, pipeline
from vidjax.data.synthetic.sight import render


def test_from_videos_to_records(tmp_path):
    arguments = ["sight_gap", "--out", str(tmp_path), "--motion_videos", "2", "0", "16", "--short_side", "0"]
    make_records.make_records(make_records.parse_args([*arguments, "--workers", "1"]))
    source = pipeline.open_records(tmp_path, ["test"])
    assert source.info.labels == ["blue_green_red", "blue_red_green"] and source.info.time_reversal is None
    assert source.info.horizontal_flip == "forbidden"
    examples = [source[i] for i in range(len(source))]
    of_levels = {render.level_of(example.media_id): set() for example in examples}
    for example in examples:
        of_levels[render.level_of(example.media_id)].add(example.labels[0])
    assert of_levels == {level: {0, 1} for level in render.DIALS["gap"].levels}
    assert len(examples[0].images) == 192


def test_levels_of_paths():
    assert render.level_of("a/level_0.25/left/0003.mp4") == 0.25
    assert render.level_of("level_100/left/0003.mp4") == 100
    assert render.level_of("a/left/0003.mp4") is None


def test_a_video_has_a_seed_of_its_own(tmp_path):
    files = render.render(tmp_path, "order", num_videos={"train": 24, "test": 24}, num_workers=1)
    assert len({path.read_bytes() for path, *_ in files}) == 48
    with pytest.raises(KeyError):
        render.render(tmp_path, "unknown", num_videos={"train": 1})
