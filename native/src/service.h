// The gRPC service: checks requests, hands them to the scheduler, and answers.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <vector>

#include "model.h"
#include "scheduler.h"
#include "stt.grpc.pb.h"

namespace voicestream::stt {

struct Limits {
  std::size_t workers;                     // clips that are transcribed at the same time
  std::size_t queue;                       // requests that wait beside them
  int threads;                             // for each worker
  std::chrono::milliseconds longest_wait;  // the deadline of a request that brings none
};

class Service final : public v1::SpeechToText::CallbackService {
 public:
  // Raises ModelError when there is no memory for so many workers.
  Service(const Model& model, const Limits& limits);

  grpc::ServerUnaryReactor* Transcribe(grpc::CallbackServerContext* context, const v1::TranscribeRequest* request,
                                       v1::Transcript* response) override;

  grpc::ServerBidiReactor<v1::StreamingRequest, v1::StreamingResponse>* StreamingTranscribe(
      grpc::CallbackServerContext* context) override;

  // Ends what waits with UNAVAILABLE, and returns when nothing runs any more.
  void stop() { scheduler_.stop(); }

 private:
  friend class UnaryCall;
  const Model& model_;
  const Limits limits_;
  std::vector<std::unique_ptr<Recognizer>> recognizers_;  // one for each worker
  Scheduler scheduler_;                                   // the last member: its threads use the others
};

}  // namespace voicestream::stt
