#include "audio.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

namespace voicestream::stt {
namespace {

constexpr float kFullScale = 32768.0F;
constexpr int kTaps = 24;  // on each side of a new sample: flat to 3.6 kHz, which is what a telephone carries
constexpr double kPi = 3.14159265358979323846;

// ITU-T G.711, table 2b.
std::array<float, 256> mulaw_table() {
  std::array<float, 256> table{};
  for (int code = 0; code < 256; ++code) {
    const int bits = ~code & 0xFF;
    const int exponent = (bits >> 4) & 7;
    const int magnitude = ((((bits & 15) << 3) + 0x84) << exponent) - 0x84;
    table.at(code) = static_cast<float>((bits & 0x80) != 0 ? -magnitude : magnitude) / kFullScale;
  }
  return table;
}

// A sinc half-way between two samples under a Blackman window, scaled to pass a constant unchanged.
std::array<float, 2 * kTaps> half_way_filter() {
  std::array<double, 2 * kTaps> taps{};
  double sum = 0;
  for (int i = 0; i < 2 * kTaps; ++i) {
    const double at = i - kTaps + 0.5;
    const double phase = kPi * at / kTaps;
    taps.at(i) = std::sin(kPi * at) / (kPi * at) * (0.42 + 0.5 * std::cos(phase) + 0.08 * std::cos(2 * phase));
    sum += taps.at(i);
  }
  std::array<float, 2 * kTaps> scaled{};
  std::transform(taps.begin(), taps.end(), scaled.begin(), [sum](double tap) { return static_cast<float>(tap / sum); });
  return scaled;
}

}  // namespace

std::vector<float> decode_pcm16(std::string_view audio) {
  std::vector<float> samples(audio.size() / 2);
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const auto low = static_cast<std::uint8_t>(audio[2 * i]);
    const auto high = static_cast<std::uint8_t>(audio[2 * i + 1]);
    samples[i] = static_cast<float>(static_cast<std::int16_t>(low | high << 8)) / kFullScale;
  }
  return samples;
}

std::vector<float> decode_mulaw(std::string_view audio) {
  static const auto kTable = mulaw_table();
  std::vector<float> samples(audio.size());
  std::transform(audio.begin(), audio.end(), samples.begin(),
                 [](char code) { return kTable[static_cast<std::uint8_t>(code)]; });
  return samples;
}

std::vector<float> upsample_by_two(const std::vector<float>& samples) {
  static const auto kFilter = half_way_filter();
  std::vector<float> padded(kTaps - 1);
  padded.insert(padded.end(), samples.begin(), samples.end());
  padded.resize(padded.size() + kTaps);
  std::vector<float> doubled(2 * samples.size());
  for (std::size_t i = 0; i < samples.size(); ++i) {
    float between = 0;
    for (std::size_t tap = 0; tap < kFilter.size(); ++tap) {
      between += kFilter[tap] * padded[i + tap];
    }
    doubled[2 * i] = samples[i];
    doubled[2 * i + 1] = between;
  }
  return doubled;
}

}  // namespace voicestream::stt
