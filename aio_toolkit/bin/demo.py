"""Try a finished model on a page in the browser."""

import argparse

from aio_toolkit.arguments import add_pack, command_parser, parse
from aio_toolkit.errors import cli
from aio_toolkit.extras import require


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = command_parser(__doc__)
    parser.add_argument(
        "--model", required=True, help="folder, packed folder, .zip, or user/name on the hub"
    )
    add_pack(parser)
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen at; browsers of other machines record over https alone",
    )
    parser.add_argument("--port", type=int, default=7860, help="port to listen at")
    parser.add_argument(
        "--max_minutes", type=float, default=10.0, help="longest recording that is answered"
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda, or auto: a GPU if there is")
    return parser


@cli
def main() -> None:
    """Show the page until it is interrupted."""
    args = parse(build_parser())
    require("demo")
    from aio_toolkit.hub.model import Model
    from aio_toolkit.hub.server import serve

    model = Model(args.model, args.device, trust=args.trust, revision=args.revision)
    serve(model, args.host, args.port, args.max_minutes)


if __name__ == "__main__":
    main()
