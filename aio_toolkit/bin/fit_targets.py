"""Cut or pad the references of a data dir to the length of their mixtures."""

from pathlib import Path

from aio_toolkit.arguments import add_tasks, command_parser, parse
from aio_toolkit.errors import cli


@cli
def main() -> None:
    """Write waves that fit, and the data dir with their names."""
    parser = command_parser(__doc__)
    parser.add_argument("data", type=Path, help="data dir, which is changed")
    parser.add_argument("--out", type=Path, help="folder of the new waves; DATA/fitted by default")
    parser.add_argument(
        "--most", type=float, default=0.1, help="seconds by which lengths may differ"
    )
    parser.add_argument("--sample_rate", type=int, default=16000, help="Hz of the recipe (--fs)")
    add_tasks(parser)
    args = parse(parser)
    from aio_toolkit.data.datadir import read_data_dir, write_data_dir
    from aio_toolkit.data.fitting import fit_targets
    from aio_toolkit.tasks import load_tasks

    tasks = load_tasks(args.tasks_config)
    utterances = read_data_dir(args.data, tasks)
    out = args.out or args.data / "fitted"
    fitted = list(fit_targets(utterances, args.sample_rate, out, args.most))
    write_data_dir(args.data, fitted, tasks)
    changed = sum(one != other for one, other in zip(utterances, fitted, strict=True))
    print(f"{args.data}: {changed} of {len(fitted)} utterances changed")


if __name__ == "__main__":
    main()
