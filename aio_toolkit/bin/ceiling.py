"""Measure what a codec leaves of the targets of a data dir: the ceiling of every head that predicts its codes."""

import argparse
from pathlib import Path

from aio_toolkit.errors import cli


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--codec", required=True, help="codec: folder of stage 2, .pth file, or dac-16khz, ...")
    parser.add_argument("--data", type=Path, required=True, help="data dir with audio tasks")
    parser.add_argument("--out", type=Path, required=True, help="folder for CEILING.md and ceiling.json")
    parser.add_argument("--codebooks", type=int, nargs="+", default=[], help="numbers of codebooks; default: every one")
    parser.add_argument("--window", type=int, default=512, help="STFT window of the masks in samples")
    parser.add_argument("--power", type=float, default=2.0, help="exponent of the levels; 2 is the Wiener filter")
    parser.add_argument("--max_utts", type=int, help="measure the first so many utterances of each task")
    parser.add_argument("--nj", type=int, default=1, help="processes")
    return parser


@cli
def main() -> None:
    args = build_parser().parse_args()
    from aio_toolkit.analysis.ceiling import format_ceiling, measure_ceiling
    from aio_toolkit.decoding.config import AudioConfig
    from aio_toolkit.files import atomic_path, write_json

    config = AudioConfig(wiener_window=args.window, wiener_power=args.power)
    results = measure_ceiling(args.codec, args.data, config, args.codebooks, args.max_utts, args.nj)
    table = format_ceiling(results)
    with atomic_path(args.out / "CEILING.md") as temporary:
        temporary.write_text(f"# {args.codec} on {args.data}\n\n{table}", encoding="utf-8")
    write_json(args.out / "ceiling.json", results)
    print(table, end="")


if __name__ == "__main__":
    main()
