#include "transcription.h"

#include <iostream>
#include <utility>

#include "audio.h"

namespace voicestream::stt {
namespace {

float ms_between(Clock::time_point from, Clock::time_point until) {
  return std::chrono::duration<float, std::milli>(until - from).count();
}

grpc::Status status_of(Dropped reason) {
  switch (reason) {
    case Dropped::kCancelled:
      return {grpc::StatusCode::CANCELLED, "cancelled by the client"};
    case Dropped::kExpired:
      return {grpc::StatusCode::DEADLINE_EXCEEDED, "the deadline passed before there was a transcript"};
    case Dropped::kMadeWay:
      return {grpc::StatusCode::RESOURCE_EXHAUSTED, "this interim request made way for one that is not"};
    case Dropped::kStopping:
      break;
  }
  return {grpc::StatusCode::UNAVAILABLE, "the server is shutting down"};
}

}  // namespace

Transcription::Transcription(Transcriber& transcriber, Kind kind, Clock::time_point deadline, std::string language,
                             Samples samples, Done done)
    : Job(deadline, kind),
      transcriber_(transcriber),
      language_(std::move(language)),
      samples_(std::move(samples)),
      done_(std::move(done)) {}

void Transcription::run(std::size_t worker) {
  Result result;
  const grpc::Status status = transcribe(transcriber_.recognizer(worker), result);
  end(status, result);
}

void Transcription::drop(Dropped reason) { end(status_of(reason), {}); }

void Transcription::refuse() { end({grpc::StatusCode::RESOURCE_EXHAUSTED, "the queue is full"}, {}); }

void Transcription::end(const grpc::Status& status, const Result& result) {
  Metrics& metrics = *transcriber_.metrics();
  metrics.ended(kind(), status.error_code());
  if (status.ok()) {
    metrics.transcribed(kind(), result.audio_seconds, result.queue_ms / 1000, result.inference_ms / 1000);
  } else if (status.error_code() == grpc::StatusCode::INTERNAL) {
    std::cerr << "stt_server: " + status.error_message() + "\n";  // in one piece: other threads write too
  }
  done_(status, result);
}

grpc::Status Transcription::transcribe(Recognizer& recognizer, Result& result) {
  const auto started = Clock::now();
  try {
    const std::vector<float> samples = samples_();
    result.audio_seconds = static_cast<float>(samples.size()) / kRate;
    result.transcript = recognizer.transcribe(samples, language_, [this] { return unwanted(); });
  } catch (const std::exception& error) {
    return {grpc::StatusCode::INTERNAL, error.what()};
  }
  if (unwanted()) {
    return status_of(why_unwanted());
  }
  result.queue_ms = ms_between(arrived_, started);
  result.inference_ms = ms_between(started, Clock::now());
  return grpc::Status::OK;
}

}  // namespace voicestream::stt
