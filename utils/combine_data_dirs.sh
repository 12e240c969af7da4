#!/usr/bin/env bash
# Join data dirs, from a recipe's folder: ../../utils/combine_data_dirs.sh data/all data/a data/b
# Options: see --help.
set -euo pipefail
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../egs/TEMPLATE/path.sh"
exec "${python:-python}" -m aio_toolkit.bin.combine_data_dirs "$@"
