"""Stage 2: turn the waves of a data dir into codec codes and front-end features."""

import argparse
from pathlib import Path

from aio_toolkit.errors import cli


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--codec", default="exp/codec", help="codec: folder of stage 2, .pth file, or dac-16khz, ...")
    parser.add_argument("--frontend", type=Path, help="YAML of the front end (conf/frontend.yaml)")
    parser.add_argument("--data", type=Path, required=True, help="data dir")
    parser.add_argument("--out", type=Path, required=True, help="dump folder")
    parser.add_argument("--nj", type=int, default=1, help="processes")
    parser.add_argument(
        "--precision",
        choices=["float32", "bfloat16"],
        default="float32",
        help="bfloat16 is faster and changes a few codes",
    )
    parser.add_argument("--device", default="cpu", help="cpu, or cuda with --nj 1")
    parser.add_argument(
        "--batch_seconds", type=float, default=0.0, help="audio in a batch; 0: one wave at a time, best on a CPU"
    )
    return parser


@cli
def main() -> None:
    args = build_parser().parse_args()
    from aio_toolkit.config import load_config
    from aio_toolkit.data.tokenize import TokenizeConfig, tokenize_data_dir
    from aio_toolkit.encoders.frontend import FrontEndConfig

    frontend = load_config(FrontEndConfig, args.frontend)
    config = TokenizeConfig(args.codec, frontend, args.precision, args.device, args.batch_seconds, args.nj)
    tokenize_data_dir(config, args.data, args.out)


if __name__ == "__main__":
    main()
