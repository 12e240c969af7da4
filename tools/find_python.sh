#!/usr/bin/env bash
# Print the path of a Python 3.12 or 3.13 that really runs and can make virtual environments; 3.12 is preferred.
# A name on PATH proves nothing: a pyenv shim may only print "command not found", and a distribution may leave out
# venv or ctypes. So each candidate is executed. PYTHON=/path/to/python is tried first.
set -euo pipefail

probe='
import sys, sysconfig
import ctypes, ensurepip, lzma, ssl, venv
version = sys.version_info[:2]
if (3, 12) <= version <= (3, 13) and not sysconfig.get_config_var("Py_GIL_DISABLED"):
    # Inside a virtual environment, the interpreter under it: the environment may go away.
    print("%d.%d" % version, getattr(sys, "_base_executable", sys.executable))
'

# Prints "3.12 /path/to/python" where the candidate is usable, nothing otherwise.
try() {
    "$1" -c "$probe" </dev/null 2>/dev/null || true
}

candidates() {
    local name version root
    for name in python3.12 python3.13 python3 python; do
        type -aP "$name" || true
    done
    for version in 3.12 3.13; do
        printf '%s\n' "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$version"*/bin/python
        if command -v uv >/dev/null; then uv python find "$version" 2>/dev/null || true; fi
        printf '%s\n' {/usr/bin,/usr/local/bin,/opt/homebrew/bin}/python"$version"
        printf '%s\n' "$HOME"/.local/share/uv/python/cpython-"$version"*/bin/python"$version"
    done
    for root in "${CONDA_PREFIX:-}" "$HOME"/{miniconda3,miniforge3,mambaforge,anaconda3} /opt/{conda,miniconda3,miniforge3}; do
        if [ -n "$root" ]; then printf '%s\n' "$root"/bin/python "$root"/envs/*/bin/python; fi
    done
}

if [ -n "${PYTHON:-}" ]; then
    found=$(try "$PYTHON")
    if [ -n "$found" ]; then
        echo "${found#* }"
        exit 0
    fi
    echo "note: PYTHON=$PYTHON is not a working Python 3.12 or 3.13; looking for another" >&2
fi

second_choice=
while read -r candidate; do
    [ -x "$candidate" ] || continue
    found=$(try "$candidate")
    case $found in
        "3.12 "*) echo "${found#* }"; exit 0 ;;
        "3.13 "*) second_choice=${second_choice:-${found#* }} ;;
    esac
done < <(candidates)

if [ -z "$second_choice" ]; then
    echo "error: no working Python 3.12 or 3.13 was found; install one, or run 'PYTHON=/path/to/python3.12 make setup'." >&2
    exit 1
fi
echo "$second_choice"
