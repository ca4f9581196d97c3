#include "model_file.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <map>
#include <utility>
#include <vector>

namespace voicestream::stt {
namespace {

constexpr std::int32_t kMagic = 0x67676d6c;  // "ggml"
constexpr int kMultilingualVocabulary = 51865;
constexpr int kHead = 64;  // numbers in an attention head, in every Whisper model
constexpr int kFrequencies = 201;
constexpr int kMostLayers = 64;
constexpr int kLongestToken = 1000;  // bytes, as below
constexpr int kLongestName = 200;
constexpr int kTypeWithinTensor = 8;
constexpr int kFloat32File = 0;  // types of a file
constexpr int kFloat16File = 1;
constexpr int kBFloat16File = 24;
constexpr int kFloat32 = 0;  // types of a tensor
constexpr int kFloat16 = 1;
constexpr int kBFloat16 = 30;
constexpr int kQuantizationVersion = 1000;  // the file's type is this times a version, and the type

// Of a tensor type: numbers in a block, and bytes.
const std::map<int, std::pair<std::int64_t, std::int64_t>> kBlocks{
    {0, {1, 4}},      {1, {1, 2}},      {2, {32, 18}},   {3, {32, 20}},    {6, {32, 22}},
    {7, {32, 24}},    {8, {32, 34}},    {10, {256, 84}}, {11, {256, 110}}, {12, {256, 144}},
    {13, {256, 176}}, {14, {256, 210}}, {30, {1, 2}},
};

// Of a file type: the type of its matrices.
const std::map<int, int> kMatrices{{0, kFloat32}, {1, kFloat16}, {2, 2},   {3, 3},   {7, 8},   {8, 6},         {9, 7},
                                   {10, 10},      {11, 11},      {12, 12}, {13, 13}, {14, 14}, {24, kBFloat16}};

// Whether no number is infinite or none, as far as that is cheap to see.
bool finite(const std::vector<char>& data, int type, std::size_t block_bytes) {
  const auto sound = [&](auto exponent, std::size_t step) {
    for (std::size_t at = 0; at < data.size(); at += step) {
      auto number = exponent;
      std::memcpy(&number, &data[at], sizeof number);
      if ((number & exponent) == exponent) {
        return false;
      }
    }
    return true;
  };
  switch (type) {
    case kFloat32:
      return sound(std::uint32_t{0x7f800000}, 4);
    case kBFloat16:
      return sound(std::uint16_t{0x7f80}, 2);
    case kFloat16:
    case 2:  // the blocks of q4_0 to q8_0 begin with their scale in float16
    case 3:
    case 6:
    case 7:
    case 8:
      return sound(std::uint16_t{0x7c00}, block_bytes);
    default:
      return true;
  }
}

class Reader {
 public:
  explicit Reader(const std::string& path) : path_(path), stream_(path, std::ios::binary | std::ios::ate) {
    if (!stream_ || stream_.tellg() < 0) {
      throw ModelError(path + " can't be read");
    }
    size_ = stream_.tellg();
    stream_.seekg(0);
  }

  ModelFile read() {
    const auto header = numbers<12>();
    if (header[0] != kMagic) {
      damaged("it does not begin as one");
    }
    check(header);
    matrices_ = kMatrices.at(header[11] % kQuantizationVersion);
    const int bands = header[10];
    if (numbers<2>() != std::array<std::int32_t, 2>{bands, kFrequencies}) {
      damaged("its mel filters are of another size");
    }
    skip(std::int64_t{4} * bands * kFrequencies);
    const int tokens = numbers<1>()[0];
    if (tokens < 0 || tokens > header[1]) {
      damaged("it has " + std::to_string(tokens) + " tokens");
    }
    for (int i = 0; i < tokens; ++i) {
      const int length = numbers<1>()[0];
      if (length < 0 || length > kLongestToken) {
        damaged("a token has " + std::to_string(length) + " bytes");
      }
      skip(length);
    }
    while (at_ < size_) {
      check_tensor();
    }
    const int type = header[11] % kQuantizationVersion;
    file_.english = header[1] < kMultilingualVocabulary;
    file_.quantized = type != kFloat32File && type != kFloat16File && type != kBFloat16File;
    file_.float16 = type == kFloat16File;
    file_.bands = bands;
    file_.audio_layers = header[5];
    file_.text_layers = header[9];
    return std::move(file_);
  }

 private:
  template <std::size_t N>
  std::array<std::int32_t, N> numbers() {
    std::array<std::int32_t, N> values{};
    bytes(reinterpret_cast<char*>(values.data()), sizeof values);
    return values;
  }

  void bytes(char* target, std::int64_t count) {
    if (count > size_ - at_ || !stream_.read(target, count)) {
      damaged("it is cut short");
    }
    at_ += count;
  }

  void skip(std::int64_t count) {
    if (count > size_ - at_ || !stream_.seekg(count, std::ios::cur)) {
      damaged("it is cut short");
    }
    at_ += count;
  }

  void check(const std::array<std::int32_t, 12>& header) const {
    const auto within = [&](int i, int most) { return header[i] > 0 && header[i] <= most; };
    const bool sound = header[1] >= kMultilingualVocabulary - 1 && header[1] <= kMultilingualVocabulary + 1 &&
                       within(2, 1500) && within(3, 32 * kHead) && within(4, 32) && header[3] == kHead * header[4] &&
                       within(5, kMostLayers) && within(6, 448) && header[7] == header[3] && header[8] == header[4] &&
                       within(9, kMostLayers) && (header[10] == 80 || header[10] == 128) && header[11] >= 0 &&
                       header[11] < 10 * kQuantizationVersion &&
                       kMatrices.count(header[11] % kQuantizationVersion) != 0;
    if (!sound) {
      damaged("the sizes in its header are of no Whisper model");
    }
  }

  void check_tensor() {
    const std::int64_t start = at_;
    const auto [dimensions, length, type] = numbers<3>();
    const auto block = kBlocks.find(type);
    if (dimensions < 1 || dimensions > 3 || length < 1 || length > kLongestName || block == kBlocks.end()) {
      damaged("there is no tensor at byte " + std::to_string(start));
    }
    const auto [block_numbers, block_bytes] = block->second;
    std::int64_t elements = 1;
    for (int i = 0; i < dimensions; ++i) {
      const std::int64_t dimension = numbers<1>()[0];
      if (dimension < 1 || dimension > size_ || (i == 0 && dimension % block_numbers != 0) ||
          elements > 2 * size_ / dimension * block_numbers) {
        damaged("there is no tensor at byte " + std::to_string(start));
      }
      elements *= dimension;
    }
    std::string name(static_cast<std::size_t>(length), '\0');
    bytes(name.data(), length);
    if (type != kFloat32 && type != kFloat16 && type != matrices_) {
      damaged("the tensor " + name + " is of another type than the file");
    }
    if (type == kFloat16 && dimensions == 2) {
      file_.float16_matrices.push_back({start + kTypeWithinTensor, at_});
    }
    const std::int64_t size = elements / block_numbers * block_bytes;
    if (size > size_ - at_) {
      damaged("it is cut short");
    }
    data_.resize(static_cast<std::size_t>(size));
    bytes(data_.data(), size);
    if (!finite(data_, type, static_cast<std::size_t>(block_bytes))) {
      damaged("weights of the tensor " + name + " are no numbers");
    }
  }

  [[noreturn]] void damaged(const std::string& why) const {
    throw ModelError(path_ + " is no model that whisper.cpp can load: " + why);
  }

  const std::string path_;
  std::ifstream stream_;
  ModelFile file_;
  int matrices_ = kFloat32;  // their type
  std::vector<char> data_;   // of a tensor
  std::int64_t size_ = 0;
  std::int64_t at_ = 0;
};

}  // namespace

ModelFile read_model_file(const std::string& path) { return Reader(path).read(); }

std::string objection_to(const ModelFile& file, bool build_uses_amx, bool processor_has_amx) {
  if (!file.quantized || !build_uses_amx || !processor_has_amx) {
    return "";
  }
  return "it is quantised, and this build computes such models on this processor with AMX, where ggml crashes: give a "
         "model in float16, or build without AMX (-mno-amx-int8, as the presets do)";
}

bool processor_has_amx() {
#if defined(__x86_64__)
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  constexpr unsigned kAmxInt8 = 1U << 25;  // leaf 7, EDX
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & kAmxInt8) != 0;
#else
  return false;
#endif
}

}  // namespace voicestream::stt
