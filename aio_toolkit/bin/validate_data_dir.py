"""Check data dirs: files, ids, texts, and all audio that they name."""

import argparse
from pathlib import Path

from aio_toolkit.errors import cli


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+", help="data dirs")
    parser.add_argument("--sample_rate", type=int, default=16000, help="Hz that utt2num_samples refers to")
    parser.add_argument("--no_audio", action="store_true", help="check the files of the data dir only")
    return parser


@cli
def main() -> None:
    """Validate each folder in turn; the first bad one ends the command."""
    args = build_parser().parse_args()
    from aio_toolkit.data.datadir import validate_data_dir

    for directory in args.data:
        validate_data_dir(directory, args.sample_rate, check_audio=not args.no_audio)
        print(f"{directory} is in order")


if __name__ == "__main__":
    main()
