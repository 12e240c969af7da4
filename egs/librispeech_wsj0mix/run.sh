#!/usr/bin/env bash
# Speech recognition, separation and enhancement with one model. ./run.sh --help lists the options.
set -euo pipefail
recipe=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")

# Options of this recipe; folders are relative to where the command is given.
librispeech=     # LibriSpeech: the folder that holds train-clean-100 and the other subsets, or the one above it
noise=           # any folder of noise clips (wav, flac, ogg), such as ESC-50; without it there is no enhancement
wsj0=            # WSJ0 as wav files, for the official WSJ0-2mix; empty: mixtures of LibriSpeech speakers
wsj0_lists=      # folder of the official mix_2_spk_{tr,cv,tt}.txt; goes with wsj0
extra_speech=    # more speakers for the mixtures of train, laid out as a LibriSpeech subset's parent
data_config=     # which speakers and how many mixtures; conf/data.yaml, or conf/data_debug.yaml with debug
debug=false      # small data and models that run end to end on a CPU

fail() {
    echo "error: $*. --help lists the options." >&2
    exit 1
}

help_message() {
    local name comment
    echo "Options of this recipe:"
    while read -r name comment; do
        printf '  --%-16s %s\n' "$name" "$comment"
    done < <(sed -n 's/^\([a-z_0-9]*\)=[^#]*# /\1 /p' "${BASH_SOURCE[0]}")
    echo "Options of every recipe:"
}

options=(--ngpu 0 --nj 4 --vocab_size 1000)
others=("") # never empty, as bash before 4.4 takes an empty array for an unset one
while [ $# -gt 0 ]; do
    case $1 in
        --librispeech | --noise | --wsj0 | --wsj0_lists | --extra_speech)
            [ -d "${2:-}" ] || fail "$1 '${2:-}' is not a folder"
            printf -v "${1#--}" '%s' "$(readlink -f "$2")"
            shift 2
            ;;
        --data_config | --debug)
            [ $# -ge 2 ] || fail "option $1 needs a value"
            printf -v "${1#--}" '%s' "$2"
            shift 2
            ;;
        --help | -h)
            help_message
            others+=("$1")
            shift
            ;;
        *)
            others+=("$1")
            shift
            ;;
    esac
done

case $debug in
    true)
        options+=(--vocab_size 100 --codec_config conf/codec_debug.yaml)
        options+=(--ssl_config conf/train_ssl_debug.yaml --train_config conf/train_aio_debug.yaml)
        ;;
    false) ;;
    *) fail "option --debug is true or false, not '$debug'" ;;
esac
if [ -z "$data_config" ]; then
    data_config=conf/data.yaml
    if $debug; then data_config=conf/data_debug.yaml; fi
fi

data_opts="--config $data_config"
for name in librispeech noise wsj0 wsj0_lists extra_speech; do
    # The stages split this list at white space.
    [[ ! ${!name} =~ [[:space:]] ]] || fail "--$name: white space in '${!name}'; make a symbolic link without"
    data_opts+=${!name:+ --$name ${!name}}
done

cd "$recipe"
../TEMPLATE/aio.sh "${options[@]}" --local_data_opts "$data_opts" "${others[@]:1}"
