#!/usr/bin/env bash
# Check data dirs, from a recipe's folder: ../../utils/validate_data_dir.sh data/train data/dev
# Options: --tasks_config conf/tasks.yaml, --sample_rate 16000, --no_audio.
set -euo pipefail
exec "${python:-python}" -m aio_toolkit.bin.validate_data_dir "$@"
