#include "transcription.h"

#include <utility>

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
  done_(status, result);
}

void Transcription::drop(Dropped reason) { done_(status_of(reason), {}); }

void Transcription::refuse() { done_({grpc::StatusCode::RESOURCE_EXHAUSTED, "the queue is full"}, {}); }

grpc::Status Transcription::transcribe(Recognizer& recognizer, Result& result) {
  const auto started = Clock::now();
  try {
    result.transcript = recognizer.transcribe(samples_(), language_, [this] { return unwanted(); });
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
