#!/usr/bin/env bash
# Six tasks, one model, minutes on a CPU. ./run.sh --help lists the options; they win over what is set here.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"

../TEMPLATE/aio.sh \
    --ngpu 0 \
    --nj 2 \
    --train_set train \
    --dev_set dev \
    --test_sets test \
    --vocab_size 200 \
    --codec codec \
    "$@"
