"""Which devices multiply bfloat16 themselves, rather than emulate it."""

from __future__ import annotations

# Of torch.cpu.get_capabilities(): AMX and AVX-512 of x86, and the extension of Arm.
INSTRUCTIONS = ("amx_bf16", "avx512_bf16", "bf16", "sve_bf16")


def multiplies_bfloat16(device_type: str) -> bool:
    """Tell whether a device has instructions for products of bfloat16; an emulation is slower than float32.

    Args:
        device_type: "cuda" or "cpu"; any other has none that PyTorch tells.
    """
    import torch

    if device_type == "cuda":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities() if device_type == "cpu" else {}
    return any(capabilities.get(name) for name in INSTRUCTIONS)
