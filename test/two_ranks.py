"""Runs a function in two processes that talk over gloo, as the ranks of a training run do."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

TEST = Path(__file__).parent
CODE = """
import importlib.util, sys
import torch, torch.distributed as dist
sys.path[:0] = [{package!r}, {test!r}]
rank = int(sys.argv[1])
dist.init_process_group("gloo", init_method="file://{store}", rank=rank, world_size=2)
spec = importlib.util.spec_from_file_location("of_ranks", {module!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
torch.save(getattr(module, {function!r})(rank), "{store}.%d" % rank)
dist.destroy_process_group()
"""


def on_two_ranks(module: str, function: str, folder: Path) -> list[Any]:
    """What a function of a test file, called with the number of the rank, returns on each."""
    places = {"package": str(TEST.parent), "test": str(TEST), "store": folder / "store"}
    code = CODE.format(module=module, function=function, **places)
    ranks = [subprocess.Popen([sys.executable, "-c", code, str(rank)]) for rank in range(2)]
    assert [rank.wait(timeout=300) for rank in ranks] == [0, 0]
    return [torch.load(f"{folder / 'store'}.{rank}", weights_only=False) for rank in range(2)]
