#!/usr/bin/env bash
# Make .venv with everything that runs, or (with "dev") also tests and lints, Remembr. Safe to run again.
#
# torch comes first, from wherever its CPU build can be had (some 200 MB; the build with CUDA takes 4.7 GB):
#   1. PyTorch's own CPU index, which uv knows by name
#   2. a folder of wheels: PIP_FIND_LINKS, or ../shared/wheels when that exists
#   3. the package index that pip uses
set -euo pipefail
cd "$(dirname "$0")/.."

extras="${1:+[test,lint,docs,bench]}"
torch="torch==2.13.0"

find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3.11 python3.12 python3.13 python3; do
        if [ -n "$candidate" ] && command -v "$candidate" >/dev/null &&
            "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "Remembr needs Python 3.11 or newer with venv. Install it (Debian: python3 python3-venv), or set PYTHON." >&2
    exit 1
}

if [ ! -x .venv/bin/python ]; then
    python="$(find_python)"
    echo "Making .venv with $("$python" --version)"
    "$python" -m venv .venv
fi
pip() { .venv/bin/python -m pip --disable-pip-version-check -q "$@"; }

if [ -d ../shared/wheels ]; then
    export PIP_FIND_LINKS="$(cd ../shared/wheels && pwd) ${PIP_FIND_LINKS:-}"
fi

if ! .venv/bin/python -c 'import importlib.metadata as m; m.version("torch")' 2>/dev/null; then
    echo "Installing torch for the CPU"
    pip install "uv>=0.9,<1"
    if ! UV_HTTP_CONNECT_TIMEOUT=5 UV_HTTP_RETRIES=1 .venv/bin/uv pip install -q --python .venv/bin/python \
        --torch-backend=cpu "$torch" 2>/dev/null; then
        echo "PyTorch's CPU index can't be reached; taking torch from ${PIP_FIND_LINKS:-the package index (4.7 GB)}"
        pip install "$torch"
    fi
fi
echo "Installing Remembr${extras:+ with its tests}"
pip install -e ".$extras"
