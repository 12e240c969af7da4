"""The lists of requirements in tools/, as pip reads them."""

import re
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[1] / "tools"


def lines(name: str) -> list[str]:
    """The requirements of `requirements<name>.txt` and of the lists that it names."""
    found = []
    for line in (TOOLS / f"requirements{name}.txt").read_text(encoding="utf-8").splitlines():
        if nested := re.fullmatch(r"-r requirements(.*)\.txt", line):
            found += lines(nested[1])
        elif line and line[0] != "#":
            found.append(line)
    return found


def distributions(name: str) -> set[str]:
    """What they are of: names as the index spells them, in lower case with hyphens."""
    return {normal(re.split("[=<>]", line)[0]) for line in lines(name)}


def normal(distribution: str) -> str:
    """`fast_bss_eval` as `fast-bss-eval`."""
    return distribution.lower().replace("_", "-")
