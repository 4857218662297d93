import pytest

from vidjax import summary
from vidjax.analysis import networks


def run(capsys, *arguments) -> str:
    assert summary.main([*arguments]) == 0
    return capsys.readouterr().out


def test_a_config_takes_classes_and_width_from_its_records(capsys, numbered_features, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from configs import frame_rnn\n"
        "def get_config(argument=''):\n"
        "    config = frame_rnn.get_config(argument)\n"
        f"    config.dataset = {str(numbered_features)!r}\n"
        "    return config\n"
    )
    text = run(capsys, f"{path}:dataset=ut_interaction_i3d", "--no_step")
    assert "features 16x5x3 float32, frame_mask 16x5 float32; 2 classes" in text


def test_sizes_as_text():
    config = networks.find_config("two_stream")
    sizes = {name: shape for name, (shape, _) in networks.parse_size("4x64x48", config).items()}
    assert sizes == {"video": (4, 64, 48, 3), "flow": (4, 64, 48, 2)}
    image = networks.parse_size("64x48", networks.find_config("resnet18"))
    assert image["video"][0] == (1, 64, 48, 3)
    for size in ("4", "0x64x64", "4by64", "4x64x64x3"):
        with pytest.raises(ValueError, match=f"--input {size} is not a size; use the form 16x112x112"):
            networks.parse_size(size, config)
