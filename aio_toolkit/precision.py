"""Does this machine compute bfloat16 natively?"""

import torch

# What torch calls the instructions that multiply bfloat16, on x86 and on ARM.
INSTRUCTIONS = ("amx_bf16", "avx512_bf16", "bf16")


def multiplies_bfloat16(device: str) -> bool:
    """Whether a device, `cpu` or `cuda`, has arithmetic for bfloat16.

    A device without it emulates it: on a CPU with AVX-512 alone a matrix product then takes four
    times as long as in float32.

    >>> multiplies_bfloat16("cpu") in (True, False)
    True
    """
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in INSTRUCTIONS)
