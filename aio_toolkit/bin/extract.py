"""Cut a model for one task out of a multitask model: the experts that the task visits, and its gates and head.

The result decodes with stage 5's command like any other model. With --sweep a table is made of how score, size and
speed change with the experts kept.
"""

import argparse
from pathlib import Path

from aio_toolkit.errors import cli


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="experiment folder of stage 4")
    parser.add_argument("--data", type=Path, required=True, help="data dir that shows which experts are visited (dev)")
    parser.add_argument("--dump", type=Path, required=True, help="its dump (stage 2)")
    parser.add_argument("--task", nargs="+", default=[], help="tasks to extract; all by default")
    parser.add_argument(
        "--min_load", type=float, default=0.0, help="keep experts above this share of an even load; 0: all visited"
    )
    parser.add_argument("--most", type=int, help="keep at most so many experts in a layer, the busiest")
    parser.add_argument("--out", type=Path, required=True, help="folder; the models go to OUT/<task>")
    sweep = parser.add_argument_group("table of share kept against score")
    sweep.add_argument("--sweep", type=int, nargs="+", default=[], metavar="MOST", help="budgets to compare")
    sweep.add_argument("--test_data", type=Path, help="data dir to score on")
    sweep.add_argument("--test_dump", type=Path, help="its dump")
    sweep.add_argument("--codec", help="codec of the model")
    sweep.add_argument("--config", type=Path, help="YAML of decoding (conf/decode.yaml)")
    sweep.add_argument("--nj", type=int, default=1, help="processes that score audio")
    return parser


@cli
def main() -> None:
    parser = build_parser()
    args = parser.parse_args()
    if args.sweep and not (args.test_data and args.test_dump and args.codec):
        parser.error("--sweep needs --test_data, --test_dump and --codec")
    from aio_toolkit.analysis.extraction import extract_task, measure_visits, sweep_budgets
    from aio_toolkit.config import load_config
    from aio_toolkit.decoding.config import DecodeConfig

    loaded, tables = measure_visits(args.model, args.data, args.dump)
    tasks = args.task or loaded.model.tasks
    if not args.sweep:
        for task in tasks:
            print(extract_task(loaded, tables, task, args.min_load, args.most, args.out / task))
        return
    config = load_config(DecodeConfig, args.config)
    test = (args.test_data, args.test_dump)
    print(sweep_budgets(loaded, tables, tasks, args.sweep, config, args.codec, test, args.out, args.nj), end="")


if __name__ == "__main__":
    main()
