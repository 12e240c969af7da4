#!/usr/bin/env python
"""Join data directories into one: utils/combine_data_dirs.py data/all data/a data/b."""

import argparse
from pathlib import Path

from aio_toolkit.errors import AioError, cli


@cli
def main() -> None:
    """Read every source, refuse ids that occur twice, write the destination."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("destination", type=Path, help="data directory to write")
    parser.add_argument("sources", type=Path, nargs="+", help="data directories to read")
    args = parser.parse_args()

    from aio_toolkit.data.datadir import read_data_dir, write_data_dir

    joined, origin = [], {}
    for source in args.sources:
        for utterance in read_data_dir(source):
            if utterance.id in origin:
                raise AioError(
                    f"{source}: utterance '{utterance.id}' is also in {origin[utterance.id]}. "
                    "Ids must be unique; rename those of one corpus."
                )
            origin[utterance.id] = source
            joined.append(utterance)
    write_data_dir(args.destination, joined)


if __name__ == "__main__":
    main()
