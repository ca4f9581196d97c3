#!/bin/sh
# Put everything that `stt_bench` needs into one folder, for a machine that reaches no network, such as one with a GPU:
# there `sh FOLDER/bench.sh` builds it, with CUDA where nvcc is, and runs it.
# Usage: bundle.sh FOLDER MODEL.bin [RECORDING.wav ...]; without recordings it is whisper.cpp's own sample.
set -eu

test $# -ge 2 || { sed -n '2,4s/^# //p' "$0" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
folder=$1
model=$2
shift 2
eigen=${EIGEN_SOURCE_DIR:-/usr/include/eigen3}
test -f "$eigen/Eigen/Core" || { echo "bundle: no Eigen in $eigen: install libeigen3-dev, or set EIGEN_SOURCE_DIR" >&2; exit 1; }
source=${WHISPER_SOURCE_DIR:-$("$here/whisper-source.sh")}
test $# -gt 0 || set -- "$source/samples/jfk.wav"

mkdir -p "$folder/eigen" "$folder/whisper.cpp" "$folder/recordings"
cp -r "$here/.." "$folder/native"
cp -r "$eigen/Eigen" "$eigen/unsupported" "$folder/eigen"
for part in CMakeLists.txt LICENSE cmake ggml include src; do
    cp -r "$source/$part" "$folder/whisper.cpp"
done
for backend in "$folder"/whisper.cpp/ggml/src/ggml-*/; do # such a machine may limit what is brought
    case $backend in */ggml-cpu/ | */ggml-cuda/) ;; *) rm -r "$backend" ;; esac
done
cp "$model" "$folder/model.bin"
cp "$@" "$folder/recordings"
cat >"$folder/bench.sh" <<'END'
#!/bin/sh
# Usage: bench.sh [OPTION of stt_bench ...]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=${BUILD:-$here/build}
command -v "${CUDACXX:-nvcc}" >/dev/null && cuda=ON || cuda=OFF
cmake -S "$here/native" -B "$build" -DCMAKE_BUILD_TYPE=Release -DSTT_SERVER=OFF -DGGML_NATIVE=ON -DGGML_CUDA=$cuda \
    -DEIGEN_SOURCE_DIR="$here/eigen" -DWHISPER_SOURCE_DIR="$here/whisper.cpp" >&2
cmake --build "$build" --target stt_bench --parallel >&2
"$build/stt_bench" --model "$here/model.bin" "$@" "$here"/recordings/*.wav
END
du -sh "$folder" | sed 's/\t/ in /'
