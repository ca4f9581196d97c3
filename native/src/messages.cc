#include "messages.h"

#include <algorithm>

#include "audio.h"

namespace voicestream::stt {
namespace {

std::size_t bytes_per_sample(const v1::Format& format) { return format.encoding() == v1::PCM16 ? 2 : 1; }

}  // namespace

grpc::Status objection_to(const v1::Format& format, const Model& model) {
  std::string what;
  if (format.encoding() != v1::PCM16 && format.encoding() != v1::MULAW) {
    what = "format.encoding must be PCM16 or MULAW";
  } else if (format.sample_rate_hz() != 8000 && format.sample_rate_hz() != kRate) {
    what = "format.sample_rate_hz must be 8000 or 16000, it is " + std::to_string(format.sample_rate_hz());
  } else {
    what = model.objection_to(format.language());
  }
  return what.empty() ? grpc::Status::OK : grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, what);
}

grpc::Status objection_to(std::string_view audio, const v1::Format& format) {
  if (audio.size() % bytes_per_sample(format) == 0) {
    return grpc::Status::OK;
  }
  return {grpc::StatusCode::INVALID_ARGUMENT,
          "audio has " + std::to_string(audio.size()) + " bytes: PCM16 takes two for each sample"};
}

std::size_t bytes_per_second(const v1::Format& format) { return format.sample_rate_hz() * bytes_per_sample(format); }

std::vector<float> samples_of(std::string_view audio, const v1::Format& format) {
  std::vector<float> samples = format.encoding() == v1::MULAW ? decode_mulaw(audio) : decode_pcm16(audio);
  return format.sample_rate_hz() == kRate ? samples : upsample_by_two(samples);
}

void fill(v1::Transcript& message, const Transcription::Result& result, const std::string& model) {
  const Transcript& transcript = result.transcript;
  message.set_text(transcript.text);
  for (const Word& word : transcript.words) {
    v1::Word* added = message.add_words();
    added->set_text(word.text);
    added->set_start_ms(word.start_ms);
    added->set_end_ms(word.end_ms);
    added->set_confidence(word.confidence);
  }
  message.set_confidence(transcript.confidence);
  message.set_no_speech_probability(transcript.no_speech_probability);
  message.set_language(transcript.language);
  message.set_model(model);
  message.set_queue_ms(result.queue_ms);
  message.set_inference_ms(result.inference_ms);
}

Clock::time_point deadline_of(const grpc::CallbackServerContext& context, std::chrono::milliseconds longest_wait) {
  const auto left = context.deadline() - std::chrono::system_clock::now();
  return Clock::now() + std::min<Clock::duration>(left, longest_wait);
}

grpc::Status with_retry_hint(const grpc::Status& status, std::chrono::milliseconds retry,
                             grpc::CallbackServerContext& context) {
  if (status.error_code() != grpc::StatusCode::RESOURCE_EXHAUSTED) {
    return status;
  }
  const std::string ms = std::to_string(retry.count());
  context.AddTrailingMetadata("grpc-retry-pushback-ms", ms);
  return {status.error_code(), status.error_message() + ": retry in " + ms + " ms"};
}

}  // namespace voicestream::stt
