// whisper.cpp: one set of weights, and a state for each clip that is transcribed at the same time.
#pragma once

#include <whisper.h>

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "log_mel.h"
#include "words.h"

namespace voicestream::stt {

// The model file or whisper.cpp's work on it failed.
struct ModelError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Transcript {
  std::string text;
  std::vector<Word> words;
  float confidence = 0;  // the mean over the words; 0 where there are none
  float no_speech_probability = 1;
  std::string language;
};

// The weights. Must outlive its recognizers.
class Model {
 public:
  // Raises ModelError when the file is missing, damaged or no ggml model. Without a GPU in the build, `gpu` is ignored.
  Model(const std::string& path, bool gpu);

  const std::string& name() const { return name_; }

  // Why this model can't transcribe that language, or an empty text.
  std::string objection_to(const std::string& language) const;

 private:
  friend class Recognizer;
  std::unique_ptr<whisper_context, decltype(&whisper_free)> context_;
  std::string name_;
  LogMel log_mel_;
};

// A state; for one thread at a time.
class Recognizer {
 public:
  // Raises ModelError when there is no memory.
  Recognizer(const Model& model, int threads);

  // What is said in samples at 16 kHz; an empty language is found out by a multilingual model. `unwanted` is asked
  // after each run of the encoder and each token: once it says true, the work ends and its outcome is of no use. Raises
  // ModelError when whisper.cpp fails.
  Transcript transcribe(const std::vector<float>& samples, const std::string& language,
                        const std::function<bool()>& unwanted);

 private:
  bool transcribe_window(std::vector<float> window, const std::string& language, const std::function<bool()>& unwanted);
  void collect(int offset_ms, std::vector<Token>& tokens, float& no_speech) const;

  const Model& model_;
  const int threads_;
  std::unique_ptr<whisper_state, decltype(&whisper_free_state)> state_;
};

}  // namespace voicestream::stt
