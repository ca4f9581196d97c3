#include "model.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "audio.h"

namespace voicestream::stt {
namespace {

constexpr int kContextFloor = 512;  // positions; below it the decoder falls into loops
constexpr int kContextPerSecond = 50;
constexpr int kContextMargin = 64;
constexpr int kFramesPerPosition = 2;
constexpr int kTokensPerSecond = 6;  // fast speech has about five
constexpr int kTokensMargin = 12;
constexpr std::size_t kWindow = 30 * kRate;  // samples, as those below: what Whisper hears at once
constexpr std::size_t kShortest = kRate / 10;
constexpr std::size_t kPadded = kRate / 2;  // in a few frames words can't be aligned
constexpr float kNever = 2;                 // a threshold that no probability reaches
constexpr std::int32_t kMultilingualVocabulary = 51865;

// Which attention heads follow the audio; the word times come from them.
void choose_alignment(const std::string& path, whisper_context_params& params) {
  struct Known {
    int layers;
    bool english;
    whisper_alignment_heads_preset preset;
  };
  constexpr std::array<Known, 8> kKnown{{{4, true, WHISPER_AHEADS_TINY_EN},
                                         {4, false, WHISPER_AHEADS_TINY},
                                         {6, true, WHISPER_AHEADS_BASE_EN},
                                         {6, false, WHISPER_AHEADS_BASE},
                                         {12, true, WHISPER_AHEADS_SMALL_EN},
                                         {12, false, WHISPER_AHEADS_SMALL},
                                         {24, true, WHISPER_AHEADS_MEDIUM_EN},
                                         {24, false, WHISPER_AHEADS_MEDIUM}}};
  std::array<std::int32_t, 12> header{};  // magic number, vocabulary, ..., the ninth after it: layers of the decoder
  std::ifstream file(path, std::ios::binary);
  if (!file.read(reinterpret_cast<char*>(header.data()), sizeof header)) {
    throw ModelError(path + " can't be read, or is no model of whisper.cpp");
  }
  const bool english = header[1] < kMultilingualVocabulary;
  const auto* found = std::find_if(kKnown.begin(), kKnown.end(), [&](const Known& known) {
    return known.layers == header[9] && known.english == english;
  });
  params.dtw_aheads_preset = found != kKnown.end() ? found->preset : WHISPER_AHEADS_N_TOP_MOST;
  params.dtw_n_top = found != kKnown.end() ? -1 : 1;
}

whisper_context* load(const std::string& path, bool gpu) {
  whisper_context_params params = whisper_context_default_params();
  params.use_gpu = gpu;
  params.flash_attn = false;  // which hides the attention that the times are read from
  params.dtw_token_timestamps = true;
  choose_alignment(path, params);
  whisper_context* context = whisper_init_from_file_with_params_no_state(path.c_str(), params);
  if (context == nullptr) {
    throw ModelError(path + " is no model that whisper.cpp can load: it is damaged, or not in ggml format");
  }
  return context;
}

}  // namespace

Model::Model(const std::string& path, bool gpu)
    : context_(load(path, gpu), whisper_free),
      name_(std::filesystem::path(path).stem().string()),
      log_mel_(whisper_model_n_mels(context_.get())) {
  if (name_.rfind("ggml-", 0) == 0) {
    name_.erase(0, std::strlen("ggml-"));
  }
}

std::string Model::objection_to(const std::string& language) const {
  if (!language.empty() && whisper_lang_id(language.c_str()) < 0) {
    return "Whisper doesn't know the language \"" + language + "\": give an ISO 639-1 code, such as \"en\"";
  }
  if (!language.empty() && language != "en" && whisper_is_multilingual(context_.get()) == 0) {
    return "the model " + name_ + " knows English alone, the request is in \"" + language + "\"";
  }
  return "";
}

Recognizer::Recognizer(const Model& model, int threads)
    : model_(model), threads_(threads), state_(whisper_init_state(model.context_.get()), whisper_free_state) {
  if (!state_) {
    throw ModelError("no memory for another state of whisper.cpp: set fewer workers");
  }
}

Transcript Recognizer::transcribe(const std::vector<float>& samples, const std::string& language,
                                  const std::function<bool()>& unwanted) {
  Transcript transcript;
  std::vector<Token> tokens;
  transcript.language = language.empty() ? "en" : language;
  for (std::size_t start = 0; start + kShortest <= samples.size(); start += kWindow) {
    const float* first = samples.data() + start;
    const std::size_t length = std::min(kWindow, samples.size() - start);
    if (!transcribe_window({first, first + length}, language, unwanted)) {
      return transcript;
    }
    collect(static_cast<int>(start * 1000 / kRate), tokens, transcript.no_speech_probability);
    transcript.language = whisper_lang_str(whisper_full_lang_id_from_state(state_.get()));
  }
  for (const Token& token : tokens) {
    transcript.text += token.text;
  }
  transcript.text = clean(transcript.text);
  transcript.words = words_of(tokens, static_cast<int>(samples.size() * 1000 / kRate), is_spaced(transcript.language));
  transcript.confidence = mean_confidence(transcript.words);
  return transcript;
}

// False when it became unwanted.
bool Recognizer::transcribe_window(std::vector<float> window, const std::string& language,
                                   const std::function<bool()>& unwanted) {
  window.resize(std::max(window.size(), kPadded));
  const double seconds = static_cast<double>(window.size()) / kRate;
  whisper_context* context = model_.context_.get();

  whisper_full_params params = whisper_full_default_params(WHISPER_SAMPLING_GREEDY);
  params.n_threads = threads_;
  params.print_progress = false;
  params.print_timestamps = false;
  params.single_segment = true;
  params.suppress_nst = true;
  params.greedy.best_of = 1;
  params.temperature_inc = 0;       // decoding again at a higher temperature costs up to five times the time
  params.no_speech_thold = kNever;  // what is silence is the client's to decide, by no_speech_probability
  params.audio_ctx = std::min(std::max(static_cast<int>(seconds * kContextPerSecond) + kContextMargin, kContextFloor),
                              whisper_n_audio_ctx(context));
  params.max_tokens = static_cast<int>(seconds * kTokensPerSecond) + kTokensMargin;
  params.duration_ms = static_cast<int>(seconds * 1000);  // the spectrogram is longer: it fills the encoder's context
  const bool detects = language.empty() && whisper_is_multilingual(context) != 0;
  params.language = detects ? "auto" : language.empty() ? "en" : language.c_str();
  const std::function<bool()>* asked = &unwanted;
  params.abort_callback = [](void* data) { return (**static_cast<const std::function<bool()>**>(data))(); };
  params.abort_callback_user_data = &asked;

  // All frames that the encoder looks at: it takes zeros for those that are not there, and silence is no zero. The
  // language is found out before whisper.cpp looks at `audio_ctx`.
  const int positions = detects ? whisper_n_audio_ctx(context) : params.audio_ctx;
  const Spectrogram mel = model_.log_mel_(window, positions * kFramesPerPosition);
  int code = whisper_set_mel_with_state(context, state_.get(), mel.data(), static_cast<int>(mel.cols()),
                                        static_cast<int>(mel.rows()));
  if (code == 0) {
    code = whisper_full_with_state(context, state_.get(), params, nullptr, 0);
  }
  if (unwanted()) {
    return false;
  }
  if (code != 0) {
    throw ModelError("whisper.cpp failed on " + std::to_string(seconds) + " s of audio with code " +
                     std::to_string(code));
  }
  return true;
}

void Recognizer::collect(int offset_ms, std::vector<Token>& tokens, float& no_speech) const {
  whisper_context* context = model_.context_.get();
  whisper_state* state = state_.get();
  for (int segment = 0; segment < whisper_full_n_segments_from_state(state); ++segment) {
    no_speech = std::min(no_speech, whisper_full_get_segment_no_speech_prob_from_state(state, segment));
    for (int i = 0; i < whisper_full_n_tokens_from_state(state, segment); ++i) {
      const whisper_token_data data = whisper_full_get_token_data_from_state(state, segment, i);
      if (data.id < whisper_token_eot(context)) {
        tokens.push_back({whisper_full_get_token_text_from_state(context, state, segment, i),
                          offset_ms + static_cast<int>(data.t_dtw) * 10, data.p});
      }
    }
  }
}

}  // namespace voicestream::stt
