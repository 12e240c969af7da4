"""Where bfloat16 pays, against what the kernel says of the processor."""

from pathlib import Path

import pytest
import torch

from aio_toolkit.precision import multiplies_bfloat16

CPUINFO = Path("/proc/cpuinfo")


@pytest.mark.skipif(not CPUINFO.is_file(), reason="no /proc/cpuinfo to compare with")
def test_the_cpu_has_the_instructions_that_the_kernel_lists():
    words = set(CPUINFO.read_text().split())
    assert multiplies_bfloat16("cpu") == bool(words & {"amx_bf16", "avx512_bf16", "bf16"})


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx512_f": True, "amx_bf16": False}, False),
        ({}, False),
        ({"amx_bf16": True}, True),
        ({"bf16": True}, True),
    ],
)
def test_any_instruction_for_bfloat16_counts_and_none_other(monkeypatch, capabilities, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert multiplies_bfloat16("cpu") == expected
