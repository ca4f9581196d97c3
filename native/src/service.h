// The gRPC service: a transcriber and the calls that use it.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>

#include "streams.h"
#include "stt.grpc.pb.h"
#include "transcriber.h"

namespace voicestream::stt {

class Service final : public v1::SpeechToText::CallbackService {
 public:
  // Raises ModelError when there is no memory for so many workers.
  Service(const Model& model, const Limits& limits) : transcriber_(model, limits) {}

  grpc::ServerUnaryReactor* Transcribe(grpc::CallbackServerContext* context, const v1::TranscribeRequest* request,
                                       v1::Transcript* response) override;

  grpc::ServerBidiReactor<v1::StreamingRequest, v1::StreamingResponse>* StreamingTranscribe(
      grpc::CallbackServerContext* context) override;

  const std::shared_ptr<Metrics>& metrics() const { return transcriber_.metrics(); }

  // Stops the server, whose service this is: it takes no more, finishes what it has accepted, ends streams after the
  // final of the segment that is open, and cancels what is left then. Streams that are left are told so just before.
  void shut_down(grpc::Server& server, std::chrono::milliseconds within);

 private:
  Transcriber transcriber_;
  Streams streams_;
};

}  // namespace voicestream::stt
