#!/usr/bin/env bash
# Check data directories: utils/validate_data_dir.sh data/train data/dev [--sample_rate 16000]
set -euo pipefail
exec "${python:-python}" -m aio_toolkit.bin.validate_data_dir "$@"
