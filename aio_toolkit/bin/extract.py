"""Cut a model for one task out of a multitask model: the experts that the task visits, and its
gates and head.

The result decodes with stage 5's command like any other model. With budgets in the configuration, a
table is made of how score, size and speed change with the experts kept.
"""

import argparse
from pathlib import Path

from aio_toolkit.arguments import add_config, add_data, command_parser, parse
from aio_toolkit.errors import cli
from aio_toolkit.extras import require

SCHEMA = "aio_toolkit.analysis.extraction:Extraction"


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = command_parser(__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder of the model (stage 4)")
    add_data(parser, "that shows which experts are visited (dev)")
    add_config(parser, "conf/extract.yaml", required=False)
    parser.add_argument(
        "--task", nargs="+", default=[], help="tasks to extract; all of the model by default"
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder; the models go to OUT/<task>"
    )
    comparison = parser.add_argument_group("comparison of budgets")
    comparison.add_argument("--test_data", type=Path, help="data dir to score on")
    comparison.add_argument("--nj", type=int, default=1, help="processes that score")
    return parser


@cli
def main() -> None:
    """Extract, and compare where there are budgets to compare."""
    parser = build_parser()
    args = parse(parser)
    from aio_toolkit.config import check_config, load_config

    check_config(SCHEMA, args.config, args.set)
    # Only now what takes seconds to import: a mistake in the configuration is told at once.
    from aio_toolkit.analysis.extraction import Extraction, open_extraction
    from aio_toolkit.tasks import load_tasks

    config = load_config(Extraction.Config, args.config, args.set)
    if config.budgets and not args.test_data:
        parser.error("budgets are compared on --test_data")
    if config.budgets:
        require("metrics")
    known = load_tasks(args.tasks_config)
    extraction = open_extraction(config, args.model, args.data, known, args.out)
    tasks = extraction.tasks(args.task)
    if config.budgets:
        print(extraction.compare(tasks, args.test_data, args.nj), end="")
        return
    for task in tasks:
        print(extraction.write(task))


if __name__ == "__main__":
    main()
