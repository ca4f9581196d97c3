#include "model.h"

#include <ggml-backend.h>
#include <ggml-cpu.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>

#include "audio.h"
#include "model_stream.h"

namespace voicestream::stt {
namespace {

constexpr int kContextFloor = 384;  // positions; below it the decoder falls into loops
constexpr int kContextPerSecond = 50;
constexpr int kContextMargin = 64;
constexpr int kFramesPerPosition = 2;
constexpr int kTokensPerSecond = 6;  // fast speech has about five
constexpr int kTokensMargin = 12;
constexpr std::size_t kWindow = 30 * kRate;  // samples, as those below: what Whisper hears at once
constexpr std::size_t kShortest = kRate / 10;
constexpr std::size_t kPadded = kRate / 2;  // in a few frames words can't be aligned
constexpr float kNever = 2;                 // a threshold that no probability reaches

// Which attention heads follow the audio; the word times come from them. whisper.cpp has no lists for distilled models,
// and those of large-v1 and large-v2 can't be told apart by their files: of these the whole top layer is taken.
void choose_alignment(const ModelFile& file, whisper_context_params& params) {
  struct Known {
    int audio_layers;
    int text_layers;
    int bands;
    bool english;
    whisper_alignment_heads_preset preset;
  };
  constexpr std::array<Known, 10> kKnown{{{4, 4, 80, true, WHISPER_AHEADS_TINY_EN},
                                          {4, 4, 80, false, WHISPER_AHEADS_TINY},
                                          {6, 6, 80, true, WHISPER_AHEADS_BASE_EN},
                                          {6, 6, 80, false, WHISPER_AHEADS_BASE},
                                          {12, 12, 80, true, WHISPER_AHEADS_SMALL_EN},
                                          {12, 12, 80, false, WHISPER_AHEADS_SMALL},
                                          {24, 24, 80, true, WHISPER_AHEADS_MEDIUM_EN},
                                          {24, 24, 80, false, WHISPER_AHEADS_MEDIUM},
                                          {32, 32, 128, false, WHISPER_AHEADS_LARGE_V3},
                                          {32, 4, 128, false, WHISPER_AHEADS_LARGE_V3_TURBO}}};
  const auto* found = std::find_if(kKnown.begin(), kKnown.end(), [&](const Known& known) {
    return known.audio_layers == file.audio_layers && known.text_layers == file.text_layers &&
           known.bands == file.bands && known.english == file.english;
  });
  params.dtw_aheads_preset = found != kKnown.end() ? found->preset : WHISPER_AHEADS_N_TOP_MOST;
  params.dtw_n_top = found != kKnown.end() ? -1 : 1;
}

bool computes_on_gpu(bool gpu) { return gpu && ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_GPU) != nullptr; }

whisper_context* load(const std::string& path, bool gpu) {
  const ModelFile file = read_model_file(path);
  const std::string objection = objection_to(file, ggml_cpu_has_amx_int8() != 0, processor_has_amx());
  if (!objection.empty() && !computes_on_gpu(gpu)) {
    throw ModelError(path + " can't be computed here: " + objection);
  }
  whisper_context_params params = whisper_context_default_params();
  params.use_gpu = gpu;
  params.flash_attn = false;  // which hides the attention that the times are read from
  params.dtw_token_timestamps = true;
  choose_alignment(file, params);
  const bool faster_in_bfloat16 = ggml_cpu_has_avx512_bf16() != 0 && !computes_on_gpu(gpu);
  ModelStream stream(path, file, faster_in_bfloat16);
  whisper_model_loader loader = stream.loader();
  whisper_context* context = nullptr;
  try {
    context = whisper_init_with_params_no_state(&loader, params);
  } catch (const std::exception& error) {
    throw ModelError(path + " is no model that whisper.cpp can load: " + error.what());
  }
  if (context == nullptr) {
    throw ModelError(path + " is no model that whisper.cpp can load: its tensors are not those of its header");
  }
  return context;
}

int positions_of(std::size_t samples) { return static_cast<int>(samples * kContextPerSecond / kRate) + kContextMargin; }

int max_tokens(std::size_t samples) { return static_cast<int>(samples * kTokensPerSecond / kRate) + kTokensMargin; }

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
  whisper_context* context = context_.get();
  const int known = whisper_token_translate(context) - whisper_token_sot(context) - 1;
  if (!language.empty() && whisper_lang_id(language.c_str()) < 0) {
    return "Whisper doesn't know the language \"" + language + "\": give an ISO 639-1 code, such as \"en\"";
  }
  if (!language.empty() && language != "en" && whisper_is_multilingual(context) == 0) {
    return "the model " + name_ + " knows English alone, the request is in \"" + language + "\"";
  }
  if (!language.empty() && language != "en" && whisper_lang_id(language.c_str()) >= known) {
    return "the model " + name_ + " doesn't know the language \"" + language + "\": newer ones do";
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

// What whisper.cpp asks for while it works on a window.
struct Recognizer::Hearing {
  Recognizer& recognizer;
  const std::function<bool()>& unwanted;
  std::string language;  // it is decoded in
  bool detects;          // the language is a guess, to be checked when the encoder is done
  bool guessed_wrong = false;

  // Called when the encoder is done, then after each token.
  bool ends() {
    if (unwanted()) {
      return true;
    }
    if (detects) {
      detects = false;
      const std::string heard = recognizer.detect_language();
      guessed_wrong = heard != language;
      language = heard;
    }
    return guessed_wrong;
  }
};

// False when it became unwanted.
bool Recognizer::transcribe_window(std::vector<float> window, const std::string& language,
                                   const std::function<bool()>& unwanted) {
  window.resize(std::max(window.size(), kPadded));
  whisper_context* context = model_.context_.get();
  const bool detects = language.empty() && whisper_is_multilingual(context) != 0;
  Hearing hearing{*this, unwanted, detects ? last_language_ : language.empty() ? "en" : language, detects};
  const int size = whisper_n_audio_ctx(context);
  const int positions = std::min(std::max(positions_of(window.size()), kContextFloor), size);
  if (!hear(window, positions, hearing)) {
    return false;
  }
  if (came_to_no_end(max_tokens(window.size())) && positions < size &&
      !hear(window, std::min(2 * positions, size), hearing)) {
    return false;
  }
  last_language_ = hearing.language;
  return true;
}

bool Recognizer::hear(const std::vector<float>& window, int positions, Hearing& hearing) {
  whisper_context* context = model_.context_.get();
  // All frames that the encoder looks at: it takes zeros for those that are not there, and silence is no zero.
  const Spectrogram mel = model_.log_mel_(window, positions * kFramesPerPosition);
  int code = whisper_set_mel_with_state(context, state_.get(), mel.data(), static_cast<int>(mel.cols()),
                                        static_cast<int>(mel.rows()));
  if (code == 0) {
    code = run(window.size(), positions, hearing);
  }
  if (hearing.guessed_wrong) {
    hearing.guessed_wrong = false;
    code = run(window.size(), positions, hearing);
  }
  if (hearing.unwanted()) {
    return false;
  }
  if (code != 0) {
    throw ModelError("whisper.cpp failed on " + std::to_string(window.size()) + " samples with code " +
                     std::to_string(code));
  }
  return true;
}

int Recognizer::run(std::size_t samples, int positions, Hearing& hearing) {
  whisper_full_params params = whisper_full_default_params(WHISPER_SAMPLING_GREEDY);
  params.n_threads = threads_;
  params.print_progress = false;
  params.print_timestamps = false;
  params.single_segment = true;
  params.suppress_nst = true;
  params.greedy.best_of = 1;
  params.temperature_inc = 0;       // decoding again at a higher temperature costs up to five times the time
  params.no_speech_thold = kNever;  // what is silence is the client's to decide, by no_speech_probability
  params.audio_ctx = positions;
  params.max_tokens = max_tokens(samples);
  params.duration_ms = static_cast<int>(samples * 1000 / kRate);  // the spectrogram is longer
  params.abort_callback = [](void* data) { return static_cast<Hearing*>(data)->ends(); };
  params.abort_callback_user_data = &hearing;
  const std::string language = hearing.language;  // which changes when it was guessed wrong
  params.language = language.c_str();
  return whisper_full_with_state(model_.context_.get(), state_.get(), params, nullptr, 0);
}

// By what the decoder expects after the start of a transcript, from what the encoder has just made of the window.
std::string Recognizer::detect_language() {
  whisper_context* context = model_.context_.get();
  const whisper_token start = whisper_token_sot(context);
  if (whisper_decode_with_state(context, state_.get(), &start, 1, 0, threads_) != 0) {
    throw ModelError("whisper.cpp failed to find out the language");
  }
  // One language after the other, then the tasks; how many there are depends on the model.
  const float* logits = whisper_get_logits_from_state(state_.get());
  const float* best = std::max_element(logits + start + 1, logits + whisper_token_translate(context));
  return whisper_lang_str(static_cast<int>(best - logits) - start - 1);
}

// The cap on the tokens was reached: mostly by a loop, which a longer context mostly prevents.
bool Recognizer::came_to_no_end(int max_tokens) const {
  whisper_state* state = state_.get();
  const int last = whisper_full_n_segments_from_state(state) - 1;
  if (last < 0) {
    return false;
  }
  const int tokens = whisper_full_n_tokens_from_state(state, last);
  return tokens > max_tokens &&
         whisper_full_get_token_id_from_state(state, last, tokens - 1) != whisper_token_eot(model_.context_.get());
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
