#!/bin/sh
# Build a preset and run its tests: `make test-native`. Without the packages they need nothing is done.
set -eu

preset=${1:-cpu}
here=$(cd "$(dirname "$0")" && pwd)
missing=
for tool in cmake ninja c++ pkg-config protoc grpc_cpp_plugin; do
    command -v "$tool" >/dev/null || missing="$missing $tool"
done
for package in grpc++ protobuf eigen3 gtest prometheus-cpp-pull; do
    pkg-config --exists "$package" 2>/dev/null || missing="$missing $package"
done
if [ -n "$missing" ]; then
    echo "test-native: skipped: not installed:$missing; native/README.md lists the packages"
    exit 0
fi
"$here/build.sh" "$preset"
cd "$here/.."
ctest --preset "$preset"
