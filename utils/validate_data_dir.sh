#!/usr/bin/env bash
# Check data dirs, from a recipe's folder: ../../utils/validate_data_dir.sh data/train data/dev
# Options: --tasks_config conf/tasks.yaml, --sample_rate 16000, --no_audio.
set -euo pipefail
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../egs/TEMPLATE/path.sh"
exec "${python:-python}" -m aio_toolkit.bin.validate_data_dir "$@"
