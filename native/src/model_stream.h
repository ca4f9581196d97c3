// A model file as whisper.cpp reads it, with its float16 matrices in bfloat16 where that is asked for.
#pragma once

#include <whisper.h>

#include <cstdint>
#include <fstream>
#include <string>
#include <unordered_set>

#include "model_file.h"

namespace voicestream::stt {

class ModelStream {
 public:
  // `file` is what read_model_file says of `path`. Only a model that is in float16 throughout is changed.
  ModelStream(const std::string& path, const ModelFile& file, bool to_bfloat16);

  // What whisper_init_with_params takes; good for as long as this is.
  whisper_model_loader loader();

 private:
  std::size_t read(char* target, std::size_t size);

  std::ifstream stream_;
  std::int64_t at_ = 0;
  std::unordered_set<std::int64_t> types_;     // where the type of a matrix is
  std::unordered_set<std::int64_t> matrices_;  // and where the matrix
};

}  // namespace voicestream::stt
