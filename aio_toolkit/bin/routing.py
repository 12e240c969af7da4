"""Stage 7: show which experts of a trained model serve which task, on a split: table, figures and
plot."""

import argparse
from pathlib import Path

from aio_toolkit.arguments import add_data, command_parser, parse
from aio_toolkit.errors import cli
from aio_toolkit.extras import require


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = command_parser(__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder of the model (stage 4)")
    add_data(parser, "to route")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for ROUTING.md, routing.json, routing.png"
    )
    return parser


@cli
def main() -> None:
    """Load, measure, print."""
    args = parse(build_parser())
    require("metrics")
    from aio_toolkit.analysis.routing import analyse_routing
    from aio_toolkit.tasks import load_tasks

    tasks = load_tasks(args.tasks_config)
    print(analyse_routing(args.model, args.data, tasks, args.out), end="")


if __name__ == "__main__":
    main()
