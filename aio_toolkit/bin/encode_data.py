"""Stage 2: turn the waves of a data dir into codec codes, where a training learns from them."""

import argparse
from pathlib import Path

from aio_toolkit.arguments import add_split, command_parser, parse, split_of
from aio_toolkit.errors import cli


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = command_parser(__doc__)
    add_split(parser, "to encode")
    parser.add_argument(
        "--codec",
        default="exp/codec",
        help="codec: folder of stage 2, .pth file, or dac-16khz, ...",
    )
    parser.add_argument("--fs", type=int, default=16000, help="sample rate of the recipe in Hz")
    for stage, name in (("3", "ssl"), ("4", "train")):
        parser.add_argument(
            f"--{name}_config", type=Path, help=f"YAML of stage {stage}, which may want codes"
        )
        parser.add_argument(
            f"--{name}_args", nargs="*", default=[], metavar="KEY=VALUE", help="keys that win"
        )
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
    """Find what is wanted, then tokenize."""
    args = parse(build_parser())
    from aio_toolkit.dump.tokenize import Tokenizer, tokenize_data_dir
    from aio_toolkit.training.wanted import Source, wanted_parts

    config = Tokenizer.Config(
        codec=args.codec,
        precision=args.precision,
        device=args.device,
        batch_seconds=args.batch_seconds,
        num_jobs=args.nj,
    )
    ssl = Source(args.ssl_config, args.ssl_args)
    aio = Source(args.train_config, args.train_args)
    tokenize_data_dir(config, split_of(args), wanted_parts(ssl, aio), args.fs)


if __name__ == "__main__":
    main()
