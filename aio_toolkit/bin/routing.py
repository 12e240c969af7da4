"""Show which experts of a trained model serve which task, on a data dir: table, figures and plot."""

import argparse
from pathlib import Path

from aio_toolkit.errors import cli


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="experiment folder of stage 4")
    parser.add_argument("--data", type=Path, required=True, help="data dir")
    parser.add_argument("--dump", type=Path, required=True, help="its dump (stage 2)")
    parser.add_argument("--out", type=Path, required=True, help="folder for ROUTING.md, routing.json, routing.png")
    return parser


@cli
def main() -> None:
    args = build_parser().parse_args()
    from aio_toolkit.analysis.routing import measure_routing, write_routing
    from aio_toolkit.data.dataset import DumpDataset
    from aio_toolkit.errors import AioError
    from aio_toolkit.models.checkpoint import MODEL, load_aio

    model = load_aio(args.model / MODEL).model
    if not model.backbone.moe_layers():
        raise AioError(f"{args.model} is dense: it has no experts to look at.")
    tables = measure_routing(model, DumpDataset(args.data, args.dump, model.tasks))
    print(write_routing(tables, model.tasks, args.out), end="")


if __name__ == "__main__":
    main()
