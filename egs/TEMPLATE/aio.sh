#!/usr/bin/env bash
# The stages of every recipe. A recipe's run.sh calls this from its own folder with the corpus's constants and "$@".
set -euo pipefail
set -f # a value like layers=[1,*] is no file pattern

# Options: name=default # meaning. --help prints these lines, so each stays on one.
stage=1                               # first stage to run: 1 data, 2 tokens, 3 SSL, 4 AIO, 5 decoding, 6 scoring, 7 analysis, 8 packing
stop_stage=8                          # last stage to run
ngpu=0                                # number of GPUs for stages 2 to 5; 0: the CPU
nj=4                                  # parallel jobs of tokenization, of decoding on a CPU, and of scoring
fs=16000                              # sample rate in Hz, of data, codec and models
seed=                                 # seed of stage 4; empty: the one in train_config
train_set=train                       # split to train on
dev_set=dev                           # split that chooses the best checkpoint
test_sets=test                        # splits to decode and score, separated by spaces
vocab_size=200                        # number of SentencePiece tokens
local_data_opts=                      # arguments of local/data.sh
codec=                                # trained codec: a folder or a known name; empty: train one with codec_config
codec_config=conf/codec.yaml          # configuration of the codec
tasks_config=conf/tasks.yaml          # the tasks that the data hold
ssl_config=conf/train_ssl.yaml        # configuration of stage 3
train_config=conf/train_aio.yaml      # configuration of stage 4
adapt_config=                         # configuration of an adaptation, which stage 4 makes instead of a training
decode_config=conf/decode.yaml        # configuration of stage 5
decode_tasks=                         # tasks to decode and score, separated by spaces; empty: all that model and data have
codec_args=                           # key=value pairs that win over codec_config
ssl_args=                             # key=value pairs that win over ssl_config
train_args=                           # key=value pairs that win over train_config
decode_args=                          # key=value pairs that win over decode_config
pack_args=                            # arguments of stage 8, such as --license cc-by-4.0 --trained_on NAME --half
datadir=data                          # folder of the splits
dumpdir=dump                          # folder of codes and units, of one codec
expdir=exp                            # folder of everything trained
tag=                                  # name of the experiment in expdir; empty: made from train_config and its changes
compare=                              # list of systems and seeds to put in one table, by stages 3 to 6 of each; empty: none
keep=                                 # folder that gets what stage 6 found, for comparisons; empty: none
pipes=on                              # off: commands in the lists of a data dir (cmd |) are refused, not run
parts=                                # packages of further parts, separated by spaces
python=python                         # Python interpreter; the default is the one of tools/venv

# The options, each with its comment.
list_options() {
    sed -n 's/^\([a-z_]*\)=[^#]*# /\1 /p' "${BASH_SOURCE[0]}"
}

help_message() {
    local name comment
    echo "Usage: run.sh [--name value ...]"
    echo "Paths are relative to the recipe's folder. Options and their values:"
    while read -r name comment; do
        printf '  --%-16s %s (%s)\n' "$name" "$comment" "${!name:-empty}"
    done < <(list_options)
    while read -r name; do
        printf '  --%-16s %s\n' "$(basename "$name" .opts)" "$(sed -n '1s/^# //p' "$name") (false)"
    done < <(find conf -name '*.opts' 2>/dev/null | sort)
}

# A setting of a recipe is a file of options, one a line: `--full true` stands for those in conf/full.opts. What comes
# after it wins over them.
expanded=()
while [ $# -gt 0 ]; do
    setting=conf/${1#--}.opts
    if [ -f "$setting" ] && [[ ${2:-} =~ ^(true|false)$ ]]; then
        if $2; then
            while read -r name value; do expanded+=("$name" "$value"); done < <(grep '^--' "$setting")
        fi
        shift 2
    else
        expanded+=("$1")
        shift
    fi
done
set -- ${expanded[@]+"${expanded[@]}"}

template=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
. "$template/../../utils/parse_options.sh"

# The running stage, the file that keeps a copy of its messages, and the process that is at work.
current=
log=
command=

fail() {
    current=
    echo "error: $*" >&2
    exit 1
}

# need STAGE FILE...: stop unless the files that STAGE makes are there.
need() {
    local maker=$1 file
    shift
    for file in "$@"; do
        [ -e "$file" ] || fail "stage $current needs $file, which stage $maker makes." \
            "Run './run.sh --stage $maker --stop_stage $current' with the same options."
    done
}

# logged FILE COMMAND...: run the command and keep a copy of what it says. FILE is beside folders that the command
# may clear, not in them.
logged() {
    local keeper status=0
    log=$1
    shift
    mkdir -p "$(dirname "$log")"
    echo "# $(date '+%F %T') $*" >>"$log"
    # In the background, where this shell hears signals at once and hands them on. What keeps the copy outlives them:
    # the last words are how to go on.
    exec 3> >(trap '' INT TERM && exec tee -a "$log")
    keeper=$!
    "$@" >&3 2>&1 3>&- &
    command=$!
    exec 3>&-
    wait "$command" || status=$?
    # A signal ends the waiting, and the command some time later.
    while kill -0 "$command" 2>/dev/null; do wait "$command" || status=$?; done
    command=
    wait "$keeper" || true
    [ $status -eq 0 ] || exit $status
}

# Ctrl-C and `kill` are for the command that runs, and for what it runs where it is a script: a line on how to go on is
# its last.
hand_on() {
    [ -n "$command" ] || exit 143
    # A script's processes first: without it nobody would know of them.
    kill -TERM $(ps -A -o ppid= -o pid= | awk -v parent="$command" '$1 == parent { print $2 }') "$command" \
        2>/dev/null || true
}
trap hand_on INT TERM

# begin STAGE TITLE READS WRITES: true if the stage is to run; says what it does.
begin() {
    [ "$stage" -le "$1" ] && [ "$1" -le "$stop_stage" ] || return 1
    current=$1
    log=
    SECONDS=0
    echo "stage $1: $2"
    echo "  reads  $3"
    echo "  writes $4"
}

end() {
    echo "stage $current: done in $((SECONDS / 60)) min $((SECONDS % 60)) s"
    current=
}

on_exit() {
    local status=$?
    if [ $status -ne 0 ] && [ -n "$current" ]; then
        echo "stage $current: stopped after $SECONDS s with status $status${log:+; its messages are in $log}" >&2
    fi
}
trap on_exit EXIT

# suffix "a.b=1 c=2": the pairs as part of a folder's name, so that changed runs do not meet in one folder. Where there
# are more than a name has room for, their checksum stands for the rest.
suffix() {
    local pair name=
    for pair in $1; do name+=_${pair//[^A-Za-z0-9._-]/}; done
    [ ${#name} -le 120 ] || name=${name:0:100}_$(cksum <<<"$1" | cut -d ' ' -f 1)
    printf '%s' "$name"
}

stem() {
    basename "$1" .yaml
}

# decode SPLIT OUT [KEY=VALUE...]: stage 5 of a split; score SPLIT OUT: stage 6 of what that wrote.
decode() {
    local split=$1 out=$2
    shift 2
    logged "$out.log" "$python" -m aio_toolkit.bin.decode "${common[@]}" --model "$aio_exp" \
        --data "$datadir/$split" --out "$out" --nj "$nj" --device "$device" ${decode_tasks:+--tasks $decode_tasks} \
        --config "$decode_config" --set "decoders.audio.codec=$codec" $decode_args "$@"
}

score() {
    logged "$2.score.log" "$python" -m aio_toolkit.bin.score "${common[@]}" --data "$datadir/$1" \
        --train "$datadir/$train_set" --dev "$datadir/$dev_set" --bounds "$expdir/bounds" \
        --decode "$2" --nj "$nj" ${decode_tasks:+--tasks $decode_tasks} "${@:3}"
}

[ $# -eq 0 ] || fail "run.sh takes only '--name value' pairs, not '$1'. --help lists the options."
for name in stage stop_stage ngpu nj fs vocab_size ${seed:+seed}; do
    [[ ${!name} =~ ^[0-9]+$ ]] || fail "option --$name is a number, not '${!name}'."
done
[ "$stage" -le 8 ] && [ "$stage" -le "$stop_stage" ] || fail "no stage from $stage to $stop_stage; there are 1 to 8."
[[ $pipes =~ ^(on|off)$ ]] || fail "option --pipes is on or off, not '$pipes'."
export AIO_PIPES=$pipes

. ./path.sh

if [ "$ngpu" -eq 0 ]; then
    trainer=(trainer.accelerator=cpu)
    device=cpu
else
    "$python" -c "import sys, torch; sys.exit(torch.cuda.device_count() < $ngpu)" ||
        fail "--ngpu $ngpu asks for more GPUs than torch sees. Use --ngpu 0 to run on the CPU."
    trainer=(trainer.accelerator=gpu "trainer.devices=$ngpu")
    device=cuda
fi

train_codec=false
if [ -z "$codec" ]; then
    train_codec=true
    codec=$expdir/$(stem "$codec_config")$(suffix "$codec_args")
fi

# This script again for every run of the list, with the options that hold here where the list is silent.
if [ -n "$compare" ]; then
    options=()
    while read -r name _; do options+=("--$name" "${!name}"); done < <(list_options)
    exec "$python" -m aio_toolkit.bin.compare --list "$compare" --script "${BASH_SOURCE[0]}" -- "${options[@]}"
fi
[ -z "$keep" ] || [ "$(wc -w <<<"$test_sets")" -eq 1 ] || fail "--keep takes one of --test_sets, not '$test_sets'."

# A changed run gets a folder of its own.
train_args+=${seed:+ seed=$seed}
ssl_exp=$expdir/$(stem "$ssl_config")$(suffix "$ssl_args")
aio_exp=$expdir/${tag:-$(stem "${adapt_config:-$train_config}")$(suffix "$train_args $ssl_args")}
decode_name=$(stem "$decode_config")$(suffix "$decode_args")
units=$dumpdir/units
common=(--tasks_config "$tasks_config" ${parts:+--parts $parts})
corpus=(--data "$datadir" --dump "$dumpdir" --train_set "$train_set" --dev_set "$dev_set")
splits=$(printf '%s\n' "$train_set" "$dev_set" $test_sets | awk '!seen[$0]++' | xargs)
data_dirs=$(printf "$datadir/%s " $splits)
dump_dirs=$(printf "$dumpdir/%s " "$train_set" "$dev_set")
decode_dirs=$(for split in $test_sets; do printf '%s ' "$aio_exp/${decode_name}_$split"; done)

if begin 1 "data preparation" "local/data.sh $local_data_opts" "$data_dirs"; then
    logged "$expdir/data.log" local/data.sh --fs "$fs" --data "$datadir" $local_data_opts
    logged "$expdir/data.log" "$template/../../utils/validate_data_dir.sh" $data_dirs "${common[@]}" \
        --sample_rate "$fs"
    end
fi

if begin 2 "tokenization, codec $codec" "$data_dirs" "$dump_dirs$units"; then
    for split in $splits; do need 1 "$datadir/$split/wav.scp"; done
    if $train_codec; then
        logged "$codec/train_codec.log" "$python" -m aio_toolkit.bin.train_codec "${common[@]}" \
            --config "$codec_config" --data "$datadir/$train_set" --dev "$datadir/$dev_set" --out "$codec" \
            --set "model.sample_rate=$fs" "${trainer[@]}" $codec_args
    fi
    for split in "$train_set" "$dev_set"; do
        logged "$dumpdir/encode_$split.log" "$python" -m aio_toolkit.bin.encode_data "${common[@]}" --codec "$codec" \
            --fs "$fs" --data "$datadir/$split" --dump "$dumpdir/$split" --nj "$nj" --device "$device" \
            --ssl_config "$ssl_config" --ssl_args $ssl_args \
            --train_config "$train_config" --train_args $train_args
    done
    logged "$dumpdir/fit_units.log" "$python" -m aio_toolkit.bin.fit_units "${common[@]}" --data "$datadir/$train_set" \
        --out "$units" --set "units.text.vocab_size=$vocab_size" "units.audio.codec=$codec"
    end
fi

if begin 3 "SSL pre-training" "$ssl_config $dumpdir/$train_set $dumpdir/$dev_set" "$ssl_exp"; then
    need 2 "$dumpdir"/{"$train_set","$dev_set"}/codec.json
    logged "$ssl_exp/train_ssl.log" "$python" -m aio_toolkit.bin.train_ssl "${common[@]}" --config "$ssl_config" \
        "${corpus[@]}" --out "$ssl_exp" --set "${trainer[@]}" $ssl_args
    end
fi

if begin 4 "AIO training" "${adapt_config:-$train_config} $dumpdir/$train_set $dumpdir/$dev_set $units $ssl_exp" "$aio_exp"; then
    need 2 "$dumpdir"/{"$train_set","$dev_set"}/codec.json "$units"
    need 3 "$ssl_exp/model.pt"
    if [ -n "$adapt_config" ]; then
        training=(adapt --config "$adapt_config")
    else
        training=(train_aio --config "$train_config" --ssl "$ssl_exp")
    fi
    logged "$aio_exp/train_aio.log" "$python" -m "aio_toolkit.bin.${training[0]}" "${training[@]:1}" "${common[@]}" \
        "${corpus[@]}" --units "$units" --out "$aio_exp" --set "${trainer[@]}" $train_args
    end
fi

if begin 5 "decoding" "$aio_exp $codec $datadir/{$test_sets}" "$decode_dirs"; then
    need 4 "$aio_exp/model.pt"
    for split in $test_sets; do
        need 1 "$datadir/$split/wav.scp"
        decode "$split" "$aio_exp/${decode_name}_$split"
    done
    end
fi

if begin 6 "scoring" "$decode_dirs" "RESULTS.md and results.json there"; then
    for split in $test_sets; do
        out=$aio_exp/${decode_name}_$split
        need 5 "$out/decode.json"
        score "$split" "$out" ${keep:+--keep "$keep"}
    done
    end
fi

if begin 7 "analysis" "$aio_exp $datadir/$dev_set" "ROUTING.md, routing.json and routing.png in $aio_exp"; then
    need 4 "$aio_exp/model.pt"
    logged "$aio_exp/routing.log" "$python" -m aio_toolkit.bin.routing "${common[@]}" --model "$aio_exp" \
        --data "$datadir/$dev_set" --out "$aio_exp"
    end
fi

if begin 8 "packing" "$aio_exp $codec results.json in $decode_dirs" "$aio_exp/pack"; then
    need 4 "$aio_exp/model.pt"
    packed=(--model "$aio_exp" --out "$aio_exp/pack")
    # A codec that is known by its name is found by it.
    if [ -d "$codec" ]; then packed+=(--codec "$codec"); fi
    results=
    for split in $test_sets; do
        out=$aio_exp/${decode_name}_$split
        if [ ! -f "$out/results.json" ]; then continue; fi
        results+=" $out/results.json"
        # Rounded weights may answer otherwise: their scores go beside those of the whole ones.
        if [[ " $pack_args " == *" --half "* ]]; then
            out=$aio_exp/${decode_name}_half_$split
            decode "$split" "$out" half=true
            score "$split" "$out"
            results+=" $out/results.json"
        fi
    done
    logged "$aio_exp/pack.log" "$python" -m aio_toolkit.bin.pack ${parts:+--parts $parts} "${packed[@]}" \
        ${results:+--results $results} $pack_args
    end
fi
