import pytest

from vidjax import summary


def run(capsys, *arguments) -> str:
    assert summary.main([*arguments]) == 0
    return capsys.readouterr().out


def test_the_table_of_r3d(capsys):
    lines = run(capsys, "r3d_18", "--input", "16x112x112", "--no_step", "--depth", "1").splitlines()
    cells = {line.split()[0]: " ".join(line.split()[1:]) for line in lines if line}
    assert cells["conv1"] == "8x16x56x56x64 98.00 28,224 1.416 G 3 x 7 x 7"
    assert cells["layer4_1"] == "8x2x7x7x512 1.53 14,157,824 1.387 G 109 x 219 x 219"
    assert cells["features"] == "8x2x512 0.03 109 x all x all"
    assert cells["outputs"] == "8x400 0.01 all x all x all"
    assert "parameters 33,371,472, multiply-adds 40.697 G per clip" in lines
    assert "  frames 8i-54 to 8i+54" in lines


def test_a_config_and_its_step(capsys):
    text = run(capsys, "configs/frame_rnn.py:dataset=ut_interaction_i3d", "--input", "5x6", "--batch_size", "4")
    assert "features 4x5x6 float32, frame_mask 4x5 float32" in text
    assert "memory of a training step (batch of 4, float32, adamw, softmax), compiled for cpu" in text
    assert "= a step" in text and "available" in text


def test_features_are_steps_and_width(capsys):
    text = run(capsys, "frame_rnn", "--input", "32x1024", "--num_classes", "6", "--no_step")
    assert "features 8x32x1024 float32" in text
    assert "past" in text and "frames up to i" in text


def test_an_image_is_a_video_of_one_frame(capsys):
    text = run(capsys, "resnet18", "--input", "64x64", "--no_step", "--batch_size", "1")
    assert "video 1x1x64x64x3" in text and "frames i\n" in text


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["i4d"], r"'i4d' is neither a model \(inception_v1, .*\) nor the file of a config \(configs/"),
        (["configs/none.py"], "neither a model"),
        (["README.md"], "neither a model"),
        (["r3d_18"], "r3d_18 needs a size: set --input 16x112x112"),
        (["r3d_18", "--input", "16by112"], "--input 16by112 is not a size; use the form 16x112x112"),
        (["r3d_18", "--input", "16"], "is not a size"),
        (["r3d_18", "--input", "0x112x112"], "is not a size"),
        (["i3d", "--input", "16x16x16"], "Frames must be at least 32x32"),
        (["fusion", "--input", "4x64x64"], "at least 10 frames"),
        (["configs/c3d.py:dataset=motion,size=huge"], "Unknown size 'huge' of motion"),
        (["configs/frame_rnn.py:dataset=ut_interaction_i3d"], "No records at .*: set the size of the features"),
    ],
)
def test_bad_input_is_reported(arguments, message):
    with pytest.raises(SystemExit, match=message):
        summary.main([*arguments, "--no_step"])


@pytest.mark.parametrize("flag", ["--batch_size", "--num_classes", "--depth"])
def test_numbers_must_be_positive(flag, capsys):
    with pytest.raises(SystemExit):
        summary.main(["r3d_18", "--input", "16x112x112", flag, "0"])
    assert f"{flag} must be 1 or more" in capsys.readouterr().err


def test_a_plan_compiles_the_step_alone_without_records(capsys):
    plan = ["configs/frame_pool.py:dataset=motion", "--plan", "--config.dataset=nowhere"]
    assert summary.main([*plan, "--config.batch_size=4"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("frame_pool: video 4x") and "400 classes (by default)" in text and "layer" not in text
    assert "the state takes" in text and "= a step" in text and "It does not fit" not in text
    assert summary.main([*plan, f"--config.batch_size={10**9}"]) == 1  # more than any machine has
    text = capsys.readouterr().out
    assert "It does not fit" in text and "accumulate = 2 processes the batch in that many parts" in text


@pytest.mark.parametrize(
    "argument, message",
    [
        ("--config.batch=4", "batch"),
        ("--config.batch_size=four", "batch_size"),
        ("--batch=4", "Unknown command line flag 'batch'"),
        ("more", "Unknown arguments more"),
    ],
)
def test_settings_that_are_wrong(argument, message):
    with pytest.raises(SystemExit, match=f"vidjax.summary: .*{message}"):
        summary.main(["configs/frame_pool.py:dataset=motion", argument])
