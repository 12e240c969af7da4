"""Answer recordings with a finished model."""

import argparse
from pathlib import Path

from aio_toolkit.arguments import add_pack, command_parser, parse
from aio_toolkit.errors import cli
from aio_toolkit.hub.formats import Format


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = command_parser(__doc__)
    parser.add_argument(
        "--model", required=True, help="folder, packed folder, .zip, or user/name on the hub"
    )
    add_pack(parser)
    parser.add_argument("--task", required=True, help="one of the model's tasks, such as enh")
    parser.add_argument(
        "--out", type=Path, help="folder for the answers; texts are printed where there is none"
    )
    parser.add_argument(
        "--format",
        default=Format.txt,
        choices=list(Format),
        help="of files of words",
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda, or auto: a GPU if there is")
    parser.add_argument(
        "recordings", nargs="+", type=Path, help="audio files, and folders of audio files"
    )
    return parser


@cli
def main() -> None:
    """Answer one recording after the other."""
    args = parse(build_parser())
    from aio_toolkit.hub.files import answer_files
    from aio_toolkit.hub.model import Model

    model = Model(args.model, args.device, args.trust, args.revision)
    answer_files(model, args.task, args.recordings, args.out, Format(args.format))


if __name__ == "__main__":
    main()
