"""Answer recordings with a finished model."""

import argparse
from pathlib import Path
from typing import Any

from aio_toolkit.arguments import add_pack, command_parser, parse
from aio_toolkit.errors import cli

# Options of answers, which the kinds of answers have (`hub/answerers/*.py`): values and meaning.
OPTIONS = {
    "format": ("FORMAT", "texts: txt, json, srt, vtt or ctm (txt)"),
    "search": ("HOW", "texts: beam, or greedy, faster and with more errors (beam)"),
    "beam_size": ("N", "texts: hypotheses that are kept (5)"),
    "through": ("WAY", "waves: masks, or codec: the codes of the masked waves, decoded (masks)"),
    "num_sources": ("N", "waves: the N loudest speakers or sounds (those that can be heard)"),
    "two_stems": ("TARGET", "waves: this target alone, all else in rest"),
    "subtype": ("TYPE", "waves: FLOAT, or PCM_16, which clips at full scale (FLOAT)"),
    "channel": ("N", "the only channel to be heard, from 1 (all)"),
    "window": ("SECONDS", "heard at a time (waves: twice the examples of training, texts: once)"),
}


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
    # Those that are not given are not there: their defaults are the kinds' own.
    unsaid: dict[str, Any] = {"default": argparse.SUPPRESS}
    for name, (metavar, meaning) in OPTIONS.items():
        parser.add_argument(f"--{name}", metavar=metavar, help=meaning, **unsaid)
    cut_off = "of files that are cut off, answer what is there"
    parser.add_argument("--partial", action="store_true", help=cut_off, **unsaid)
    parser.add_argument("--codec", help="the model's codec, for --through codec")
    parser.add_argument("--batch", type=int, default=8, help="windows heard at a time")
    parser.add_argument("--device", default="auto", help="cpu, cuda, or auto: a GPU if there is")
    parser.add_argument(
        "recordings",
        nargs="+",
        type=Path,
        help="audio files, folders of audio files, or - for standard input",
    )
    return parser


@cli
def main() -> None:
    """Answer one recording after the other."""
    args = parse(build_parser())
    from aio_toolkit.hub.files import FileAnswers
    from aio_toolkit.hub.model import Model

    model = Model(args.model, args.device, args.codec, args.trust, args.revision)
    options = {name: value for name, value in vars(args).items() if name in (*OPTIONS, "partial")}
    answers = FileAnswers(model, args.task, args.out, options, args.batch)
    answers.answer(args.recordings)


if __name__ == "__main__":
    main()
