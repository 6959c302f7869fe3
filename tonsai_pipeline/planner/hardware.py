"""GPUs by their makers' data sheets -> operations per second, by precision."""

from __future__ import annotations

from typing import NamedTuple


class Gpu(NamedTuple):
    """What one GPU promises.

    `half`: dense bf16 operations per second (fp16 where there is no bf16: T4, V100). `single`: fp32, without
    tensor cores, as torch multiplies unless it is told otherwise.
    """

    half: float
    single: float


#: Dense operations: data sheets that print them "with sparsity" are halved. A longer name stands before a shorter
#: one that it contains, for GPUs are found by the name that their driver gives.
GPUS: dict[str, Gpu] = {
    "B200": Gpu(2250e12, 80e12),
    "H200": Gpu(989.4e12, 67e12),
    "H100 NVL": Gpu(835.5e12, 60e12),
    "H100 PCIe": Gpu(756e12, 51e12),
    "H100": Gpu(989.4e12, 67e12),
    "A100": Gpu(312e12, 19.5e12),
    "A10G": Gpu(70e12, 31.5e12),
    "A10": Gpu(125e12, 31.2e12),
    "L40S": Gpu(362e12, 91.6e12),
    "L40": Gpu(181e12, 90.5e12),
    "L4": Gpu(121e12, 30.3e12),
    "T4": Gpu(65e12, 8.1e12),
    "V100": Gpu(125e12, 15.7e12),
    "RTX 4090": Gpu(165.2e12, 82.6e12),
    "RTX 3090": Gpu(71e12, 35.6e12),
}


def peak_flops_of(device_name: str, precision: str = "bf16") -> float | None:
    """Return what a GPU promises, by the name its driver gives; None for an unknown one or a CPU.

    Example:
        >>> peak_flops_of("NVIDIA A10G"), peak_flops_of("Tesla T4", "fp32"), peak_flops_of("cpu")
        (70000000000000.0, 8100000000000.0, None)
    """
    found = next((gpu for name, gpu in GPUS.items() if name in device_name), None)
    if found is None:
        return None
    return found.single if precision == "fp32" else found.half
