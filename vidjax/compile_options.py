"""How XLA is to compile networks for CPUs: what goes to `jax.jit(compiler_options=)`. Elsewhere its defaults hold."""

import jax
from flax import linen as nn

from vidjax.models.inception import Inception
from vidjax.models.resnet import ResNet
from vidjax.models.vgg import VGG

# keeps a block's second computation behind the first, and the parts of a batch in a row; XLA drops the barriers on CPUs
KEEP_BARRIERS = {"xla_disable_hlo_passes": "cse_barrier_expander"}
# XLA's own convolutions in place of those of its library YNN, which it keeps for products of matrices
OWN_CONVOLUTIONS = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"}


def of_inference(model: nn.Module) -> dict[str, str] | None:
    """For a forward pass.

    On CPUs XLA's own convolutions are the faster ones where there are many channels: as published, I3D, R(2+1)D-18 and
    C3D take 0.8 to 0.9 of the time. Networks of a fourth of the channels or less take more (R3D-18: 1.2).
    """
    if jax.default_backend() != "cpu":
        return None
    return OWN_CONVOLUTIONS if isinstance(model, Inception | ResNet | VGG) and model.width == 1 else {}


def of_training(model: nn.Module) -> dict[str, str] | None:
    """For a training step.

    XLA's own convolutions take 0.86 (C3D) and 0.95 (R(2+1)D-18) of the time, but 1.35 of I3D's.

    On CPUs XLA orders operations for concurrency more than for memory. Thinking of memory takes 72 in place of 183 MiB
    (I3D) and 154 in place of 266 (R(2+1)D-18; a fourth of the channels, 8 clips), and the same time. Only
    rematerialised residual blocks are better off with the default (2.1 in place of 4.1 GiB, R(2+1)D-18 on 4 clips of
    16x112x112).
    """
    if jax.default_backend() != "cpu":
        return None
    options = KEEP_BARRIERS if isinstance(model, Inception) else KEEP_BARRIERS | of_inference(model)
    if isinstance(model, ResNet) and model.remat:
        return options
    return options | {"xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED"}
