// What a model file says of itself, read with care: whisper.cpp trusts it, and ends the process where it makes no
// sense.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace voicestream::stt {

// The model file or whisper.cpp's work on it failed.
struct ModelError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Where the bytes of a float16 matrix are, and the number that says that it is one.
struct Float16Matrix {
  std::int64_t type_at;
  std::int64_t data_at;
};

struct ModelFile {
  bool english = false;  // and no other language
  bool quantized = false;
  bool float16 = false;
  int bands = 0;  // of the mel spectrogram
  int audio_layers = 0;
  int text_layers = 0;
  std::vector<Float16Matrix> float16_matrices;  // all but the convolutions
};

constexpr std::int64_t kFileTypeAt = 44;

// Raises ModelError when the file is missing, cut short, or no Whisper model in ggml's format, or when weights in it
// are no finite numbers, which whisper.cpp may crash on. What else was changed in them shows in the file's hash alone.
ModelFile read_model_file(const std::string& path);

// Why a model can't be computed by this build on this processor, or an empty text.
std::string objection_to(const ModelFile& file, bool build_uses_amx, bool processor_has_amx);

bool processor_has_amx();

}  // namespace voicestream::stt
