#!/usr/bin/env bash
# Make a data dir of Kaldi's or ESPnet's, from a recipe's folder: ../../utils/import_kaldi_dir.sh data/train KALDI/data/train --task asr
# Options: see --help.
set -euo pipefail
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../egs/TEMPLATE/path.sh"
exec "${python:-python}" -m aio_toolkit.bin.import_kaldi_dir "$@"
