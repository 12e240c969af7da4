"""Ask a frozen encoder what it knows: linear probes, layer by layer, beside its random twin and
log-mel."""

import argparse
from pathlib import Path

from aio_toolkit.arguments import add_tasks, command_parser, parse
from aio_toolkit.errors import cli
from aio_toolkit.extras import require


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = command_parser(__doc__)
    parser.add_argument("--ssl", type=Path, required=True, help="folder of the encoder (stage 3)")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of data dirs")
    parser.add_argument("--train_set", default="train", help="split to fit linear layers on")
    parser.add_argument("--test_set", default="test", help="split to score")
    add_tasks(parser)
    parser.add_argument("--no_data", action="store_true", help="only the probes of --list")
    parser.add_argument(
        "--list",
        nargs="+",
        default=[],
        metavar="NAME=FILE",
        help="probes of labelled files: lines of file<TAB>label<TAB>train|test, files relative to "
        "FILE's folder",
    )
    parser.add_argument(
        "--max_utts", type=int, default=400, help="utterances of a task in a split, at most"
    )
    parser.add_argument("--steps", type=int, default=300, help="optimizer steps of each layer")
    parser.add_argument("--seed", type=int, default=0, help="of the random twin")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for PROBES.md, probes.json, probes.png"
    )
    return parser


@cli
def main() -> None:
    """Collect the probes, run them, print the table."""
    parser = build_parser()
    args = parse(parser)
    if args.no_data and not args.list:
        parser.error("--no_data leaves nothing to probe without --list")
    require("metrics")
    from aio_toolkit.analysis.probe import run_probes
    from aio_toolkit.analysis.probe_data import probes_of_data
    from aio_toolkit.analysis.probe_lists import probes_of_lists
    from aio_toolkit.analysis.probe_report import contestants, write_probes
    from aio_toolkit.data.datadir import read_data_dir
    from aio_toolkit.models.checkpoint import MODEL, load_ssl
    from aio_toolkit.tasks import load_tasks

    ssl = load_ssl(args.ssl / MODEL)
    probes = []
    if not args.no_data:
        tasks = load_tasks(args.tasks_config)
        train = read_data_dir(args.data / args.train_set, tasks)
        test = read_data_dir(args.data / args.test_set, tasks)
        probes += probes_of_data(train, test, ssl.codec.grid, args.max_utts)
    if args.list:
        probes += probes_of_lists(args.list, ssl.codec.sample_rate)
    results = run_probes(probes, contestants(ssl, args.seed), args.steps)
    print(write_probes(probes, results, args.out), end="")


if __name__ == "__main__":
    main()
