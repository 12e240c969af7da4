"""One command for all: `aio-toolkit VERB ...` is `python -m aio_toolkit.bin.VERB ...`."""

import ast
import difflib
import runpy
import sys
from pathlib import Path

from aio_toolkit.errors import AioError, cli

BIN = Path(__file__).parent / "bin"
PROGRAM = "aio-toolkit"


@cli
def main() -> None:
    """Run the command that the first argument names."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return
    verb, *rest = arguments
    if verb not in verbs():
        (near,) = difflib.get_close_matches(verb, verbs(), n=1, cutoff=0.0)
        raise AioError(f"{PROGRAM} has no command '{verb}'. Did you mean '{near}'?")
    # What argparse calls the command in its messages.
    sys.argv = [f"{PROGRAM} {verb}", *rest]
    runpy.run_module(f"aio_toolkit.bin.{verb}", run_name="__main__")


def usage() -> str:
    """What there is to choose from."""
    known = verbs()
    width = max(map(len, known))
    lines = [f"  {verb:{width}}  {title}" for verb, title in known.items()]
    help_line = f"{PROGRAM} VERB --help tells more."
    return "\n".join([f"usage: {PROGRAM} VERB ...", "", *lines, "", help_line])


def verbs() -> dict[str, str]:
    """The commands with the first sentence of their documentation; none of them is imported.

    >>> verbs()["answer"]
    'Answer recordings with a finished model.'
    """
    found = {}
    for path in sorted(BIN.glob("[!_]*.py")):
        documentation = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        found[path.stem] = documentation.split("\n\n")[0].replace("\n", " ")
    return found
