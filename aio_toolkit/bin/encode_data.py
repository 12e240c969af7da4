"""Stage 2: turn the waves of a data dir into codec codes and front-end features."""

import argparse
from pathlib import Path

from aio_toolkit.arguments import add_tasks, command_parser, parse
from aio_toolkit.errors import cli


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = command_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="data dir")
    parser.add_argument("--out", type=Path, required=True, help="dump folder")
    add_tasks(parser)
    parser.add_argument(
        "--codec",
        default="exp/codec",
        help="codec: folder of stage 2, .pth file, or dac-16khz, ...",
    )
    parser.add_argument("--frontend", type=Path, help="YAML of the front end (conf/frontend.yaml)")
    parser.add_argument("--nj", type=int, default=1, help="processes")
    parser.add_argument(
        "--precision",
        choices=["float32", "bfloat16"],
        default="float32",
        help="bfloat16 is faster and changes a few codes",
    )
    parser.add_argument("--device", default="cpu", help="cpu, or cuda with --nj 1")
    parser.add_argument(
        "--batch_seconds",
        type=float,
        default=0.0,
        help="audio in a batch; 0: one wave at a time, best on a CPU",
    )
    return parser


@cli
def main() -> None:
    """Check the front end, then tokenize."""
    args = parse(build_parser())
    from aio_toolkit.config import load_config
    from aio_toolkit.dump.tokenize import Tokenizer, tokenize_data_dir
    from aio_toolkit.frontend.features import FrontEnd
    from aio_toolkit.tasks import load_tasks

    config = Tokenizer.Config(
        codec=args.codec,
        frontend=load_config(FrontEnd.Config, args.frontend),
        precision=args.precision,
        device=args.device,
        batch_seconds=args.batch_seconds,
        num_jobs=args.nj,
    )
    tokenize_data_dir(config, load_tasks(args.tasks_config), args.data, args.out)


if __name__ == "__main__":
    main()
