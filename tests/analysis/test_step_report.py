from vidjax import summary
from vidjax.analysis import step_memory


def test_a_step_that_does_not_fit(capsys, monkeypatch):
    fixed = 4 * 4 * (6 * 1024 + 1024 + 256 * 1024 + 256 * 10 + 10)  # parameters, two moments, gradients
    monkeypatch.setattr(step_memory, "available_bytes", lambda: (fixed + 2**20, "a test"))
    assert summary.main(["frame_rnn", "--input", "5x6", "--batch_size", "256", "--num_classes", "10"]) == 1
    text = capsys.readouterr().out
    assert "MiB  a test" in text and "It does not fit." in text
    assert "or less should fit" in text and "bfloat16" in text and "freeze" in text and "mesh.fsdp" in text


def test_a_compiler_out_of_memory_is_reported(capsys, monkeypatch):
    def step_memory_of(*arguments):
        raise MemoryError("RESOURCE_EXHAUSTED: 1 byte")

    monkeypatch.setattr(step_memory, "step_memory", step_memory_of)
    assert summary.main(["small_cnn", "--input", "2x32x32"]) == 1
    assert "does not fit: the compiler says RESOURCE_EXHAUSTED: 1 byte" in capsys.readouterr().out
