"""Compiler options (`jax.jit(compiler_options=)`) for networks on CPUs; elsewhere XLA's defaults apply."""

import jax
from flax import linen as nn

from vidjax.models.inception import Inception
from vidjax.models.resnet import BasicBlock, Bottleneck, ResNet
from vidjax.models.vgg import VGG

# keeps recomputed blocks after their first computation, and the parts of a batch in order; else CPUs drop the barriers
KEEP_BARRIERS = {"xla_disable_hlo_passes": "cse_barrier_expander"}
# XLA's own convolutions in place of those of its library YNN, which still computes matrix products
OWN_CONVOLUTIONS = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"}


def of_inference(model: nn.Module) -> dict[str, str] | None:
    """Options for a forward pass.

    On CPUs XLA's own convolutions are faster with many channels: I3D, R(2+1)D-18 and C3D of the published width take
    0.8 to 0.9 of the time. Networks with a quarter of the channels or fewer take longer (R3D-18: 1.2).
    """
    if jax.default_backend() != "cpu":
        return None
    return OWN_CONVOLUTIONS if isinstance(model, Inception | ResNet | VGG) and model.width == 1 else {}


def of_training(model: nn.Module) -> dict[str, str] | None:
    """Options for a training step.

    With XLA's own convolutions C3D takes 0.86 and R(2+1)D-18 0.95 of the time, but I3D 1.35.

    By default XLA schedules operations on CPUs for concurrency. Its memory-optimised scheduler takes the same time and
    72 instead of 183 MiB (I3D) or 154 instead of 266 MiB (R(2+1)D-18), with a quarter of the channels and 8 clips. Only
    rematerialised residual blocks need less memory with the default: 2.1 instead of 4.1 GiB (R(2+1)D-18 on 4 clips of
    16x112x112).
    """
    if jax.default_backend() != "cpu":
        return None
    options = KEEP_BARRIERS if isinstance(model, Inception) else KEEP_BARRIERS | of_inference(model)
    if isinstance(model, ResNet) and model.block not in (BasicBlock, Bottleneck):
        return options
    return options | {"xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED"}
