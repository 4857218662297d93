import jax
import pytest

from tests.networks import network_of
from vidjax.export import __main__ as export
from vidjax.export import formats, program


def test_a_program_has_a_convolution_for_each_platform(tmp_path):
    run = network_of("r3d_18", width=1 / 16)
    formats.write_stablehlo(program.of_clips(run), tmp_path)
    text = jax.export.deserialize(bytearray((tmp_path / "model.stablehlo").read_bytes())).mlir_module()
    assert "[b, 0, 1, 2, f]x[0, 1, 2, i, o]" in text  # 3-D, for GPUs and TPUs
    assert "[b, 0, 1, f]x[0, 1, i, o]" in text  # 2-D, for CPUs


def test_tensorflow_agrees(tiny_trained, tmp_path):
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    manifest = export.export(tiny_trained, "savedmodel", tmp_path / "out", export.record_clips(tiny_trained, 4))
    assert manifest["time"] == {"multiple_of": 1, "at_least": 1}


def test_a_network_that_onnx_does_not_support(tiny_trained, tmp_path, monkeypatch):
    onnx_ops = pytest.importorskip("vidjax.export.onnx.ops")
    monkeypatch.delitem(onnx_ops.LOWERINGS, "conv_general_dilated")
    with pytest.raises(ValueError, match="the operation 'conv_general_dilated', on .* Use stablehlo or savedmodel"):
        export.export(tiny_trained, "onnx", tmp_path / "out", [])
    assert list(tmp_path.iterdir()) == []
