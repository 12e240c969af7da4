"""Join data dirs into one."""

from pathlib import Path

from aio_toolkit.arguments import add_tasks, command_parser, parse
from aio_toolkit.errors import cli


@cli
def main() -> None:
    """Read every source, refuse ids that appear twice, write the destination."""
    parser = command_parser(__doc__)
    parser.add_argument("destination", type=Path, help="data dir to write")
    parser.add_argument("sources", type=Path, nargs="+", help="data dirs to read")
    add_tasks(parser)
    args = parse(parser)
    from aio_toolkit.data.combining import combine
    from aio_toolkit.data.datadir import write_data_dir
    from aio_toolkit.tasks import load_tasks

    tasks = load_tasks(args.tasks_config)
    write_data_dir(args.destination, combine(args.sources, tasks), tasks)


if __name__ == "__main__":
    main()
