"""How near a training step comes to what its devices could compute at most: the share of their peak FLOP/s."""

import jax
from ml_collections import ConfigDict

from vidjax.analysis import layer_table, networks

# Dense matrix products in bfloat16, TFLOP/s of one device of JAX, by its `device_kind`. On TPU v3 and TPU7x that is one
# of the two cores of a chip. NVIDIA gives most figures with sparsity, which is twice the dense one (not of the
# L40S: 733). Sources:
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
    """How long a training step would take at the peak of all devices; None where that is not known.

    A step is taken to cost three times the forward pass (backward, each layer has a product for its inputs and one for
    its weights), and a multiply-add is two FLOPs. The forward pass is that of `costs`: convolutions and matrix products
    of the network as it is evaluated, padding included; neither optical flow nor what is computed again
    (`model.remat`). So it is the work that the network asks for, not what the program does (model FLOPs utilisation:
    Chowdhery et al., "PaLM", 2022, appendix B). XLA's own count takes a loop for one round of it: of an LSTM over 32
    steps it finds less than half of this. Of R3D-18 it finds 9 % less: no padding, no gradient of the video.

    The peak is that of bfloat16, whatever `config.dtype` is: what float32 loses is to be seen.

    Not known are CPUs, devices that are not in the table, parts of a GPU (MIG), and networks with frozen parameters,
    whose backward pass is shorter.

    Args:
        config: of the run.
        inputs: of the model, a global batch as it leaves the pipeline; only the shapes count.
    """
    devices = jax.devices()
    if config.freeze or devices[0].device_kind not in PEAK_TFLOPS:
        return None
    network = layer_table.layers_of(config, inputs, num_classes)[0][0]
    return 3 * 2 * network.multiply_adds / (1e12 * PEAK_TFLOPS[devices[0].device_kind] * len(devices))
