// A clip on its way through the scheduler.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <string>
#include <vector>

#include "model.h"
#include "scheduler.h"
#include "transcriber.h"

namespace voicestream::stt {

class Transcription final : public Job {
 public:
  struct Result {
    Transcript transcript;
    float audio_seconds = 0;
    float queue_ms = 0;      // from when this was made until a worker took it
    float inference_ms = 0;  // from there on
  };
  using Samples = std::function<std::vector<float>()>;                   // at 16 kHz; asked when a worker is there
  using Done = std::function<void(const grpc::Status&, const Result&)>;  // told once, on any thread

  Transcription(Transcriber& transcriber, Kind kind, Clock::time_point deadline, std::string language, Samples samples,
                Done done);

  void run(std::size_t worker) override;
  void drop(Dropped reason) override;

  // Instead of both, when there is no room in the queue.
  void refuse();

 private:
  void end(const grpc::Status& status, const Result& result);
  grpc::Status transcribe(Recognizer& recognizer, Result& result);

  const Clock::time_point arrived_ = Clock::now();
  Transcriber& transcriber_;
  const std::string language_;
  const Samples samples_;
  const Done done_;
};

}  // namespace voicestream::stt
