"""Stage 6: score decoded answers, or put the results of several experiments side by side."""

import argparse
from pathlib import Path

from aio_toolkit.arguments import add_tasks, command_parser, parse
from aio_toolkit.errors import cli
from aio_toolkit.extras import require


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = command_parser(__doc__)
    parser.add_argument("--data", type=Path, help="data dir with the references")
    parser.add_argument(
        "--decode", type=Path, help="decode folder; RESULTS.md and results.json go there"
    )
    add_tasks(parser)
    parser.add_argument(
        "--tasks", nargs="+", default=[], help="tasks to score; all that are decoded by default"
    )
    parser.add_argument("--train", type=Path, help="data dir that floors are fitted to")
    parser.add_argument("--dev", type=Path, help="data dir that their options are chosen on")
    parser.add_argument(
        "--bounds", type=Path, help="folder where floors and ceilings are kept for other models"
    )
    parser.add_argument("--nj", type=int, default=1, help="processes that read and score")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="folder that gets a copy for comparisons"
    )
    parser.add_argument(
        "--compare",
        type=Path,
        nargs="+",
        metavar="DECODE",
        help="only print one table of these decode folders, the first against the others",
    )
    return parser


@cli
def main() -> None:
    """Score, write, print."""
    parser = build_parser()
    args = parse(parser)
    if not args.compare and not (args.data and args.decode):
        parser.error("--data and --decode are required, or --compare")
    from aio_toolkit.analysis.kept_run import KeptRun, keep_run

    runs = {str(folder): [KeptRun.read(folder)] for folder in args.compare or ()}
    require("metrics")
    from aio_toolkit.tasks import load_tasks

    tasks = load_tasks(args.tasks_config)
    if runs:
        from aio_toolkit.analysis.comparison_report import format_comparison

        print(format_comparison(runs, tasks), end="")
        return
    from aio_toolkit.scoring.report import write_report
    from aio_toolkit.scoring.run import ScoreRun, score_decode_dir

    run = ScoreRun(
        data=args.data,
        decode=args.decode,
        tasks=tasks,
        names=args.tasks,
        train=args.train,
        dev=args.dev,
        bounds=args.bounds,
        num_jobs=args.nj,
    )
    results = score_decode_dir(run)
    print(write_report(args.decode, results), end="")
    if args.keep:
        keep_run(args.decode, args.keep)


if __name__ == "__main__":
    main()
