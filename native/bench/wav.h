// Recordings for the benchmark.
#pragma once

#include <string>
#include <vector>

namespace voicestream::stt {

// Samples at 16 kHz of a WAV file with one channel of PCM16 at 8 or 16 kHz. Raises std::runtime_error, which says what
// is wrong with the file.
std::vector<float> read_wav(const std::string& path);

}  // namespace voicestream::stt
