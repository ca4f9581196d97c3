#!/bin/sh
# Take CUDA's compiler and libraries from a package index, for machines without a toolkit: it compiles, no GPU is needed.
# Usage: cuda-toolkit.sh [FOLDER]; prints the toolkit's folder.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-$here/../../build/native/cuda-toolkit}
python=${PYTHON:-$here/../../.venv/bin/python}
test -x "$python" || python=python3

toolkit=$folder/nvidia/cu13
if [ ! -e "$toolkit/lib64" ]; then
    # CUDA 13.0: drivers from 580 on run it.
    "$python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder" --upgrade \
        nvidia-cuda-nvcc==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-nvvm==13.0.88 \
        nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85 nvidia-cublas==13.1.0.3 >&2
    for library in cudart cublas cublasLt; do # which the linker looks for without a version
        ln -sf "lib$library.so.13" "$toolkit/lib/lib$library.so"
    done
    ln -s lib "$toolkit/lib64"
fi
cd "$toolkit" && pwd
