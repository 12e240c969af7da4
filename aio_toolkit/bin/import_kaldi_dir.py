"""Make a data dir of one of Kaldi or ESPnet: add tasks and lengths, cut by segments."""

from pathlib import Path

from aio_toolkit.arguments import add_tasks, command_parser, parse
from aio_toolkit.errors import AioError, cli


@cli
def main() -> None:
    """Read the folder, write a data dir, say what is left out."""
    parser = command_parser(__doc__)
    parser.add_argument("destination", type=Path, help="data dir to write")
    parser.add_argument("source", type=Path, help="folder with wav.scp")
    parser.add_argument("--task", required=True, help="what is asked of all recordings")
    parser.add_argument(
        "--files",
        nargs="*",
        default=[],
        metavar="ANSWER=FILE",
        help="files of another name than the answer's: speech=spk1.scp",
    )
    parser.add_argument("--sample_rate", type=int, default=16000, help="Hz of the recipe (--fs)")
    add_tasks(parser)
    args = parse(parser)
    from aio_toolkit.data.datadir import write_data_dir
    from aio_toolkit.data.kaldi_dir import read_kaldi_dir
    from aio_toolkit.tasks import get_task, load_tasks

    tasks = load_tasks(args.tasks_config)
    task = get_task(tasks, args.task)
    known = *task.targets, *task.inputs
    files = {}
    for word in args.files:
        name, _, file = word.partition("=")
        if not file or name not in known:
            raise AioError(f"--files {word}: write ANSWER=FILE; answers are {', '.join(known)}.")
        files[name] = file

    found = read_kaldi_dir(args.source, task, args.sample_rate, files)
    write_data_dir(args.destination, found.utterances, tasks)
    print(f"wrote {args.destination}: {len(found.utterances)} utterances")
    for file, ids in found.left_out.items():
        print(f"notice: {len(ids)} are left out, as they are not in {file}; the first is {ids[0]}")


if __name__ == "__main__":
    main()
