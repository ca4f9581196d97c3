// whisper.cpp: one set of weights, and a state for each clip that is transcribed at the same time.
#pragma once

#include <whisper.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "log_mel.h"
#include "model_file.h"
#include "words.h"

namespace voicestream::stt {

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
  // Raises ModelError when the file is missing, damaged, no ggml model, or none that this build can compute on this
  // processor. Without a GPU in the build, `gpu` is ignored. Where the processor computes faster in bfloat16, the
  // float16 matrices of the file are held in that.
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
  struct Hearing;
  bool transcribe_window(std::vector<float> window, const std::string& language, const std::function<bool()>& unwanted);
  bool hear(const std::vector<float>& window, int positions, Hearing& hearing);
  int run(std::size_t samples, int positions, Hearing& hearing);
  std::string detect_language();
  bool came_to_no_end(int max_tokens) const;
  void collect(int offset_ms, std::vector<Token>& tokens, float& no_speech) const;

  const Model& model_;
  const int threads_;
  std::unique_ptr<whisper_state, decltype(&whisper_free_state)> state_;
  std::string last_language_ = "en";
};

}  // namespace voicestream::stt
