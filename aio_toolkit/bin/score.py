"""Stage 6: score decoded text and audio, or put the results of several experiments side by side."""

import argparse
from pathlib import Path

from aio_toolkit.errors import cli


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--data", type=Path, help="data dir with the references")
    parser.add_argument("--decode", type=Path, help="decode folder; RESULTS.md and results.json go there")
    parser.add_argument("--sample_rate", type=int, default=16000, help="Hz at which audio is compared")
    parser.add_argument("--tasks", nargs="+", default=[], help="tasks to score; all of the data dir by default")
    parser.add_argument("--nj", type=int, default=1, help="processes that read and score audio")
    parser.add_argument(
        "--compare",
        type=Path,
        nargs="+",
        metavar="DECODE",
        help="only print one table of these decode folders",
    )
    return parser


@cli
def main() -> None:
    """Score, write, print."""
    parser = build_parser()
    args = parser.parse_args()
    from aio_toolkit.scoring.report import combine, write_report

    if args.compare:
        print(combine(args.compare), end="")
        return
    if not args.data or not args.decode:
        parser.error("--data and --decode are required, or --compare")
    from aio_toolkit.scoring.evaluate import score_decode_dir

    results = score_decode_dir(args.data, args.decode, args.sample_rate, args.nj, args.tasks)
    print(write_report(args.decode, results), end="")


if __name__ == "__main__":
    main()
