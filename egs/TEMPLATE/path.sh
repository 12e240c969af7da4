# To be sourced by a recipe's scripts: the toolkit and its environment come first.
AIO_ROOT=$(readlink -f "$(dirname "${BASH_SOURCE[0]}")/../..")
export AIO_ROOT

if [ ! -f "$AIO_ROOT/tools/venv/.installed" ]; then
    echo "error: the environment $AIO_ROOT/tools/venv is missing or unfinished; run 'make -C $AIO_ROOT setup'." >&2
    exit 1
fi

export PATH=$AIO_ROOT/tools/venv/bin:$PATH
export PYTHONPATH=$AIO_ROOT${PYTHONPATH:+:$PYTHONPATH}
export PYTHONUNBUFFERED=1 # logs grow line by line
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)}
# Large pages where the system lends them (glibc 2.35 on): a training touches gigabytes, and addresses take time too.
export GLIBC_TUNABLES=${GLIBC_TUNABLES:-glibc.malloc.hugetlb=1}
