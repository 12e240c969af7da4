#!/usr/bin/env bash
# Make the corpus and the data dirs train, dev and test; nothing is downloaded.
set -euo pipefail

seed=0       # another seed gives another corpus
nj=2         # processes; the result does not depend on it
scale=1.0    # multiplies the number of utterances, for a quick try
fs=16000     # sample rate in Hz
config=conf/corpus.yaml
data=data    # where the data dirs go
corpus=corpus # where the audio goes

help_message="Usage: local/data.sh [--seed $seed] [--nj $nj] [--scale $scale] [--fs $fs] [--config $config] \
[--data $data] [--corpus $corpus]"
. ./path.sh
. ../../utils/parse_options.sh

# One thread a process: the processes share the cores among them.
export OMP_NUM_THREADS=1
python local/make_corpus.py --config "$config" --corpus "$corpus" --data "$data" \
    --seed "$seed" --nj "$nj" --scale "$scale" --fs "$fs"
