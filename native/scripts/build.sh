#!/bin/sh
# Configure and build a preset: `make native`.
# whisper.cpp is WHISPER_SOURCE_DIR, else comes from its git tag, else from a package index.
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
cmake --preset "$preset" ${source:+"-DWHISPER_SOURCE_DIR=$source"}
cmake --build --preset "$preset"
