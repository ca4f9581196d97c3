// The gRPC service: a transcriber and the calls that use it.
#pragma once

#include <grpcpp/grpcpp.h>

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

  // Ends what waits with UNAVAILABLE, and returns when nothing runs any more.
  void stop() { transcriber_.stop(); }

 private:
  Transcriber transcriber_;
};

}  // namespace voicestream::stt
