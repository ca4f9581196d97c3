#include "whisper_mel.h"

#include "whisper.cpp"

namespace voicestream::stt {

Spectrogram whisper_mel(const std::string& model, const std::vector<float>& samples) {
  whisper_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
  whisper_context* context = whisper_init_from_file_with_params(model.c_str(), whisper_context_default_params());
  whisper_pcm_to_mel(context, samples.data(), static_cast<int>(samples.size()), 1);
  const auto& mel = context->state->mel;
  Spectrogram spectrogram = Eigen::Map<const Spectrogram>(mel.data.data(), mel.n_mel, mel.n_len);
  whisper_free(context);
  return spectrogram;
}

}  // namespace voicestream::stt
