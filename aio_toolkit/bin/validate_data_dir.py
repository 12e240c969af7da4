"""Check data dirs: files, ids, texts, and all audio that they name."""

import argparse
from pathlib import Path

from aio_toolkit.arguments import add_tasks, command_parser, parse
from aio_toolkit.errors import cli


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = command_parser(__doc__)
    parser.add_argument("data", type=Path, nargs="+", help="data dirs")
    add_tasks(parser)
    parser.add_argument(
        "--sample_rate", type=int, default=16000, help="Hz that utt2num_samples refers to"
    )
    parser.add_argument(
        "--no_audio", action="store_true", help="check the files of the data dir only"
    )
    return parser


@cli
def main() -> None:
    """Validate each folder in turn; the first bad one ends the command."""
    args = parse(build_parser())
    from aio_toolkit.data.validate import validate_data_dir
    from aio_toolkit.tasks import load_tasks

    tasks = load_tasks(args.tasks_config)
    for directory in args.data:
        validate_data_dir(directory, tasks, args.sample_rate, check_audio=not args.no_audio)
        print(f"{directory} is valid")


if __name__ == "__main__":
    main()
