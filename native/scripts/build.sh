#!/bin/sh
# Configure and build a preset: `make native`.
# whisper.cpp is WHISPER_SOURCE_DIR, else comes from its git tag, else from a package index; CUDA is the toolkit whose nvcc
# is in the PATH or CUDACXX, else comes from a package index.
set -eu

preset=${1:-cpu}
cd "$(dirname "$0")/.."
for tool in cmake ninja c++; do
    command -v "$tool" >/dev/null || {
        echo "native: $tool is missing. On Debian or Ubuntu: apt-get install cmake ninja-build g++" >&2
        exit 1
    }
done

source=${WHISPER_SOURCE_DIR:-}
if [ -z "$source" ] && ! git ls-remote --exit-code https://github.com/ggml-org/whisper.cpp.git v1.8.5 >/dev/null 2>&1; then
    source=$(scripts/whisper-source.sh)
fi
set -- ${source:+"-DWHISPER_SOURCE_DIR=$source"}
if [ "$preset" = cuda ] && ! command -v "${CUDACXX:-nvcc}" >/dev/null; then
    toolkit=$(scripts/cuda-toolkit.sh)
    export CUDACXX="$toolkit/bin/nvcc"
    set -- "$@" "-DCUDAToolkit_ROOT=$toolkit"
fi
cmake --preset "$preset" "$@"
cmake --build --preset "$preset"
