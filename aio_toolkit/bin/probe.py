"""Ask a frozen encoder what it knows: linear probes, layer by layer, beside its random twin and log-mel."""

import argparse
from pathlib import Path

from aio_toolkit.errors import cli


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--ssl", type=Path, required=True, help="folder of the encoder (stage 3)")
    parser.add_argument("--data", type=Path, help="folder of data dirs, for probes of speaker, content, events, ...")
    parser.add_argument("--dump", type=Path, help="folder of their dumps (stage 2)")
    parser.add_argument("--train_set", default="train", help="split to fit linear layers on")
    parser.add_argument("--test_set", default="test", help="split to score")
    parser.add_argument(
        "--list",
        nargs="+",
        default=[],
        metavar="NAME=FILE",
        help="probes of labelled files: lines of file<TAB>label<TAB>train|test, files relative to FILE's folder",
    )
    parser.add_argument("--codec", help="codec of the encoder, for --list")
    parser.add_argument("--most", type=int, default=400, help="utterances of a task in a split, at most")
    parser.add_argument("--steps", type=int, default=300, help="optimiser steps of each linear layer")
    parser.add_argument("--seed", type=int, default=0, help="of the random twin")
    parser.add_argument("--out", type=Path, required=True, help="folder for PROBES.md, probes.json, probes.png")
    return parser


@cli
def main() -> None:
    parser = build_parser()
    args = parser.parse_args()
    if not args.list and not (args.data and args.dump):
        parser.error("give --data and --dump, or --list, or all of them")
    if args.list and not args.codec:
        parser.error("--list needs --codec")
    from aio_toolkit.analysis.probe_data import probes_of_data, probes_of_lists
    from aio_toolkit.analysis.probe_report import contestants, run_probes, write_probes
    from aio_toolkit.models.checkpoint import MODEL, load_ssl

    encoder, config, provenance = load_ssl(args.ssl / MODEL)
    probes = []
    if args.data and args.dump:
        splits = (args.train_set, args.test_set)
        probes += probes_of_data(args.data, args.dump, splits, provenance, args.most)
    if args.list:
        probes += probes_of_lists(args.list, args.codec, provenance)
    results = run_probes(probes, contestants(encoder, config, provenance, args.seed), args.steps)
    print(write_probes(probes, results, args.out), end="")


if __name__ == "__main__":
    main()
