import jax
import pytest

from vidjax import compile_options
from vidjax.models import make_model


@pytest.mark.parametrize(
    "name, remat, by_default",
    [("r2plus1d_18", True, True), ("r2plus1d_18", False, False), ("i3d", True, False), ("i3d", False, False)],
)
def test_on_cpus_only_rematerialised_residual_blocks_use_the_default_scheduler(name, remat, by_default):
    options = compile_options.of_training(make_model(name, 2, remat=remat))
    assert ("xla_cpu_scheduler_type" not in options) is by_default
    assert "xla_disable_hlo_passes" in options


@pytest.mark.parametrize(
    "name, width, when",
    [("c3d", 1.0, "always"), ("i3d", 1.0, "in inference"), ("r3d_18", 0.5, "never"), ("small_cnn", 1.0, "never")],
)
def test_networks_of_the_published_width_use_xlas_own_convolutions(name, width, when):
    model, own = make_model(name, 2, width=width), compile_options.OWN_CONVOLUTIONS
    assert compile_options.of_inference(model) == ({} if when == "never" else own)
    assert (own.items() <= compile_options.of_training(model).items()) is (when == "always")


def test_xla_accepts_the_options():
    options = compile_options.of_training(make_model("c3d", 2))
    assert jax.jit(lambda x: x + 1, compiler_options=options)(1) == 2


def test_accelerators_use_the_defaults(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    model = make_model("i3d", 2)
    assert compile_options.of_inference(model) is compile_options.of_training(model) is None
