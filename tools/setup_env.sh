#!/usr/bin/env bash
# Make tools/venv: a virtual environment with the pinned dependencies and aio_toolkit itself (editable).
# Safe to repeat: a finished environment is recognised in well under a second, an interrupted one is repaired.
set -euo pipefail

unset CDPATH
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
venv=tools/venv
python=$venv/bin/python
log=tools/venv-install.log
stamp=$venv/.installed          # holds what was installed; written last
in_progress=$venv/.installing   # there while an installation runs
min_free_gb=${AIO_MIN_FREE_GB:-8}
pip=("$python" -m pip --disable-pip-version-check --no-input)

fail() {
    echo "error: $*" >&2
    exit 1
}

# What the environment depends on. The folder counts too: an editable installation points at it.
wanted() {
    echo "$root $(cat setup.py tools/requirements*.txt tools/constraints.txt | cksum)"
}

ready() {
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(wanted)" ] && [ -x "$python" ]
}

# pip downloads everything before it installs anything. Only a run that stopped while installing can have left
# a half-written package, which pip would later take for a whole one.
damaged() {
    if [ -e "$in_progress" ] && grep -qs '^Installing collected packages' "$log"; then return 0; fi
    ! "$python" -m pip --version >/dev/null 2>&1
}

# An environment runs the checkout that it was made for, wherever it is reached from.
own() {
    [ ! -L "$venv" ] ||
        fail "$root/$venv is a symbolic link to $(cd -P "$venv" && pwd), whose packages run another checkout." \
            "Remove the link with 'rm $root/$venv', then run the same command again."
    [ -f "$stamp" ] || return 0
    local of
    of=$(sed 's/ [0-9]* [0-9]*$//' "$stamp")
    [ "$of" = "$root" ] ||
        fail "$root/$venv was made for the checkout $of." \
            "Remove it with 'rm -r $root/$venv', then run the same command again."
}

need_disk() {
    local free_gb used_gb=0
    free_gb=$(df -Pk tools | awk 'NR == 2 { print int($4 / 1048576) }')
    if [ -d "$venv" ]; then used_gb=$(du -sk "$venv" | awk '{ print int($1 / 1048576) }'); fi
    if [ $((free_gb + used_gb)) -lt "$min_free_gb" ]; then
        fail "the environment needs about $min_free_gb GB in $root/tools and $((free_gb + used_gb)) GB are there; free some" \
            "space, or set AIO_MIN_FREE_GB to try with less."
    fi
}

make_venv() {
    local base
    base=$(tools/find_python.sh)
    echo "making $venv with $base"
    rm -rf "$venv"
    : >"$log"
    "$base" -m venv "$venv" >>"$log" 2>&1 || fail "'$base -m venv' failed; see $log."
}

install() {
    local status=0
    echo "installing the packages: a few minutes and about 6 GB the first time (log: $log)"
    : >"$log"
    touch "$in_progress"
    "${pip[@]}" install --progress-bar off -c tools/constraints.txt \
        -r tools/requirements-recipes.txt -r tools/requirements-test.txt 2>&1 | tee -a "$log" | show || status=$?
    if [ $status -eq 0 ]; then
        # setuptools is there as a dependency of torch, so nothing needs to be fetched to build.
        "${pip[@]}" install --no-deps --no-build-isolation -e . >>"$log" 2>&1 || status=$?
    fi
    [ $status -eq 0 ] || fail "the installation failed: $(reason) See $log, then run the same command again."
    rm -f "$in_progress"
}

show() {
    grep --line-buffered -oE '^(Collecting|Processing|Downloading|Building|Installing) .{1,80}' || true
}

reason() {
    local line
    line=$(grep -E '^ERROR|No space left' "$log" | tail -n 1 | sed 's/^ERROR: *//')
    echo "${line:-pip did not end normally}."
}

own
if ready; then exit 0; fi
if command -v flock >/dev/null; then
    exec 9>tools/.venv.lock
    flock -n 9 || { echo "waiting for another set-up of $venv"; flock 9; }
    if ready; then exit 0; fi
fi

need_disk
if damaged; then make_venv; fi
install
report=$("$python" tools/check_install.py) || fail "the environment is incomplete: $report"
wanted >"$stamp"
echo "$report"
