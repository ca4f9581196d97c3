#include "model_stream.h"

#include <ggml.h>

#include <cstring>
#include <vector>

namespace voicestream::stt {
namespace {

// Both formats take two bytes. whisper.cpp reads a matrix in one go.
void to_bfloat16(char* data, std::size_t size) {
  const auto count = static_cast<std::int64_t>(size / sizeof(ggml_fp16_t));
  std::vector<float> values(static_cast<std::size_t>(count));
  ggml_fp16_to_fp32_row(reinterpret_cast<const ggml_fp16_t*>(data), values.data(), count);
  ggml_fp32_to_bf16_row(values.data(), reinterpret_cast<ggml_bf16_t*>(data), count);
}

void put(char* target, std::int32_t value) { std::memcpy(target, &value, sizeof value); }

}  // namespace

ModelStream::ModelStream(const std::string& path, const ModelFile& file, bool to_bfloat16)
    : stream_(path, std::ios::binary) {
  if (to_bfloat16 && file.float16) {
    for (const Float16Matrix& matrix : file.float16_matrices) {
      types_.insert(matrix.type_at);
      matrices_.insert(matrix.data_at);
    }
  }
}

whisper_model_loader ModelStream::loader() {
  whisper_model_loader loader{};
  loader.context = this;
  loader.read = [](void* self, void* target, std::size_t size) {
    return static_cast<ModelStream*>(self)->read(static_cast<char*>(target), size);
  };
  loader.eof = [](void* self) { return static_cast<ModelStream*>(self)->stream_.eof(); };
  loader.close = [](void*) {};
  return loader;
}

std::size_t ModelStream::read(char* target, std::size_t size) {
  stream_.read(target, static_cast<std::streamsize>(size));
  const auto got = static_cast<std::size_t>(stream_.gcount());
  if (at_ == kFileTypeAt && !matrices_.empty()) {
    put(target, GGML_FTYPE_MOSTLY_BF16);
  } else if (types_.count(at_) != 0) {
    put(target, GGML_TYPE_BF16);
  } else if (matrices_.count(at_) != 0) {
    to_bfloat16(target, got);
  }
  at_ += static_cast<std::int64_t>(got);
  return got;
}

}  // namespace voicestream::stt
