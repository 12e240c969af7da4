#!/usr/bin/env bash
# Cut or pad references to the length of their mixtures, from a recipe's folder: ../../utils/fit_targets.sh data/train
# Options: see --help.
set -euo pipefail
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../egs/TEMPLATE/path.sh"
exec "${python:-python}" -m aio_toolkit.bin.fit_targets "$@"
