"""The duration of a training step at the devices' peak FLOP/s."""

import jax
from ml_collections import ConfigDict

from vidjax.analysis import layer_table, networks

# TFLOP/s of dense bfloat16 matrix products per JAX device, by `device_kind`. A device is one of the two cores of a chip
# on TPU v3 and TPU7x. NVIDIA publishes most numbers with sparsity, which doubles them (except for the L40S: 733).
# Sources:
#   TPU      docs.cloud.google.com/tpu/docs/v3, v4, v5e, v6e and tpu7x, "peak compute per chip"; v5p is in that of tpu7x
#   A100     NVIDIA A100 data sheet;  H100 PCIe: NVIDIA H100 data sheet of 2022
#   others   nvidia.com/en-us/data-center/h100, h200, hgx (B200), l4, l40s
PEAK_TFLOPS = {
    "TPU v3": 123 / 2,
    "TPU v4": 275,
    "TPU v5 lite": 197,
    "TPU v5e": 197,
    "TPU v5": 459,
    "TPU v5p": 459,
    "TPU v6 lite": 918,
    "TPU v6e": 918,
    "TPU7x": 2307 / 2,
    "NVIDIA A100-SXM4-40GB": 312,
    "NVIDIA A100-SXM4-80GB": 312,
    "NVIDIA A100-PCIE-40GB": 312,
    "NVIDIA A100 80GB PCIe": 312,
    "NVIDIA H100 80GB HBM3": 1979 / 2,
    "NVIDIA H100 PCIe": 1513 / 2,
    "NVIDIA H100 NVL": 1671 / 2,
    "NVIDIA H200": 1979 / 2,
    "NVIDIA H200 NVL": 1671 / 2,
    "NVIDIA B200": 4500 / 2,
    "NVIDIA L4": 242 / 2,
    "NVIDIA L40S": 362.05,
}


def seconds_at_peak(config: ConfigDict, inputs: networks.Inputs, num_classes: int) -> float | None:
    """Returns the seconds that a training step would take at the peak of all devices, or None if unknown.

    A step counts as three forward passes, because the backward pass of a layer has one product for its inputs and one
    for its weights. A multiply-add is two FLOPs. `costs` counts the forward pass: convolutions and matrix products of
    the network in evaluation mode, padding included, without optical flow and rematerialisation (`model.remat`). This
    is the work of the network, not of the program (model FLOPs utilisation: Chowdhery et al., "PaLM", 2022, appendix
    B). XLA's own count takes one iteration per loop: for an LSTM over 32 steps it is less than half of this one. For
    R3D-18 it is 9 % lower, because it leaves out padding and the gradient of the video.

    The peak is always that of bfloat16, so that the loss of speed in float32 shows.

    The result is unknown on CPUs, on devices outside the table, on parts of a GPU (MIG), and for networks with frozen
    parameters, whose backward pass is shorter.

    Args:
        config: config of the run.
        inputs: model inputs of a global batch from the pipeline; only the shapes count.
    """
    devices = jax.devices()
    if config.freeze or devices[0].device_kind not in PEAK_TFLOPS:
        return None
    network = layer_table.layers_of(config, inputs, num_classes)[0][0]
    return 3 * 2 * network.multiply_adds / (1e12 * PEAK_TFLOPS[devices[0].device_kind] * len(devices))
