#!/usr/bin/env bash
# Stage 1: data/train, data/dev and data/test from LibriSpeech, noise clips and, if there, WSJ0.
set -euo pipefail

librispeech=
noise=
wsj0=
wsj0_lists=
extra_speech=
config=conf/data.yaml
fs=16000
data=data
nj=4
help_message="Usage: local/data.sh --librispeech DIR [--noise DIR] [--wsj0 DIR --wsj0_lists DIR] \
[--extra_speech DIR] [--config conf/data.yaml] [--fs 16000] [--data data] [--nj 4]"
. ../../utils/parse_options.sh

fail() {
    echo "error: local/data.sh: $*" >&2
    exit 1
}

[ $# -eq 0 ] || fail "takes only '--name value' pairs, not '$1'."
[ -n "$librispeech" ] ||
    fail "needs --librispeech DIR, the folder that holds train-clean-100 and so on."
[ "${wsj0:+given}" = "${wsj0_lists:+given}" ] ||
    fail "--wsj0 and --wsj0_lists go together: the wav files, and mix_2_spk_{tr,cv,tt}.txt."

. ./path.sh
lists=corpus/lists

# Only data dirs are here, made again in seconds; finished audio stays in corpus/.
rm -rf "$data/local"

python local/prepare_librispeech.py --config "$config" --fs "$fs" \
    --librispeech "$librispeech" --data "$data/local/asr"

python local/make_mixing_lists.py --config "$config" --fs "$fs" \
    --librispeech "$librispeech" --lists "$lists" --noise_data "$data/noise_train" \
    ${extra_speech:+--extra_speech "$extra_speech"} ${noise:+--noise "$noise"}

python local/mix_speakers.py --config "$config" --fs "$fs" \
    --lists "${wsj0_lists:-$lists}" --root "${wsj0:-$librispeech}" \
    --corpus corpus --data "$data/local/sep" --nj "$nj"

if [ -n "$noise" ]; then
    python local/mix_noise.py --config "$config" --fs "$fs" \
        --lists "$lists" --root "$librispeech" --noise "$noise" \
        --corpus corpus --data "$data/local/enh" --nj "$nj"
else
    echo "notice: no --noise DIR, so there is no speech enhancement (enh)"
fi

for split in train dev test; do
    ../../utils/combine_data_dirs.sh "$data/$split" "$data"/local/*/"$split"
done
