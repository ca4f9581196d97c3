#include "wav.h"

#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string_view>

#include "audio.h"

namespace voicestream::stt {
namespace {

constexpr std::size_t kRiffHeader = 12;
constexpr std::size_t kChunkHeader = 8;
constexpr std::size_t kFormat = 16;

template <typename Number>
Number number_at(std::string_view file, std::size_t at) {
  Number number{};
  std::memcpy(&number, file.data() + at, sizeof number);  // the file and the machine are little endian
  return number;
}

}  // namespace

std::vector<float> read_wav(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  const std::string file{std::istreambuf_iterator<char>(stream), {}};
  if (file.size() < kRiffHeader || file.compare(0, 4, "RIFF") != 0 || file.compare(8, 4, "WAVE") != 0) {
    throw std::runtime_error(path + " can't be read, or is no WAV file");
  }
  std::uint32_t rate = 0;
  for (std::size_t at = kRiffHeader; at + kChunkHeader <= file.size();) {
    const std::string_view name(file.data() + at, 4);
    const auto length = number_at<std::uint32_t>(file, at + 4);
    at += kChunkHeader;
    if (name == "fmt " && at + kFormat <= file.size()) {
      rate = number_at<std::uint32_t>(file, at + 4);
      const bool usable = number_at<std::uint16_t>(file, at) == 1 && number_at<std::uint16_t>(file, at + 2) == 1 &&
                          number_at<std::uint16_t>(file, at + 14) == 16;
      if (!usable || (rate != 8000 && rate != kRate)) {
        throw std::runtime_error(path + ": need one channel of PCM16 at 8000 or 16000 Hz");
      }
    } else if (name == "data" && rate != 0) {
      const std::vector<float> samples = decode_pcm16(std::string_view(file).substr(at, length));
      return rate == kRate ? samples : upsample_by_two(samples);
    }
    at += length + length % 2;
  }
  throw std::runtime_error(path + " has no audio in it");
}

}  // namespace voicestream::stt
