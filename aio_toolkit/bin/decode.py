"""Stage 5: answer the recordings of a data dir by one model; no references are read."""

import argparse
from pathlib import Path

from aio_toolkit.arguments import add_config, add_data, command_parser, parse
from aio_toolkit.errors import cli

SCHEMA = "aio_toolkit.decoding.run:BatchDecoder"


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = command_parser(__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder of the model (stage 4)")
    add_data(parser, "of which wav.scp and utt2task are enough")
    parser.add_argument("--out", type=Path, required=True, help="folder for hypotheses and waves")
    parser.add_argument(
        "--tasks", nargs="+", default=[], help="tasks to decode; all that model and data have"
    )
    parser.add_argument("--nj", type=int, default=1, help="processes on a CPU")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, or auto: a GPU if there is")
    add_config(parser, "conf/decode.yaml", required=False)
    return parser


@cli
def main() -> None:
    """Check the configuration, then decode."""
    args = parse(build_parser())
    from aio_toolkit.config import check_config, load_config

    check_config(SCHEMA, args.config, args.set)
    from aio_toolkit.decoding.run import BatchDecoder, DecodeRun, decode_data_dir
    from aio_toolkit.tasks import load_tasks

    config = load_config(BatchDecoder.Config, args.config, args.set)
    run = DecodeRun(
        data=args.data,
        out=args.out,
        known=load_tasks(args.tasks_config),
        names=args.tasks,
        num_jobs=args.nj,
        device=args.device,
    )
    decode_data_dir(config, args.model, run)


if __name__ == "__main__":
    main()
