// whisper.cpp's own spectrogram.
#pragma once

#include <string>
#include <vector>

#include "log_mel.h"

namespace voicestream::stt {

// All its frames: those of the samples, and of 30 s of silence after them.
Spectrogram whisper_mel(const std::string& model, const std::vector<float>& samples);

}  // namespace voicestream::stt
