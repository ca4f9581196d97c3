// Samples from what arrives on the wire.
#pragma once

#include <string_view>
#include <vector>

namespace voicestream::stt {

inline constexpr int kRate = 16000;  // Hz, what Whisper hears

// Samples in [-1, 1) of signed 16-bit little-endian audio; an odd last byte is left out.
std::vector<float> decode_pcm16(std::string_view audio);

// Samples in [-1, 1] of G.711 mu-law.
std::vector<float> decode_mulaw(std::string_view audio);

// Twice as many samples, by band-limited interpolation: from 8 kHz to 16 kHz.
std::vector<float> upsample_by_two(const std::vector<float>& samples);

}  // namespace voicestream::stt
