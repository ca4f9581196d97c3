#include "service.h"

#include "unary_call.h"

namespace voicestream::stt {

grpc::ServerUnaryReactor* Service::Transcribe(grpc::CallbackServerContext* context,
                                              const v1::TranscribeRequest* request, v1::Transcript* response) {
  return new UnaryCall(transcriber_, *context, *request, *response);  // frees itself
}

grpc::ServerBidiReactor<v1::StreamingRequest, v1::StreamingResponse>* Service::StreamingTranscribe(
    grpc::CallbackServerContext*) {
  class Refusal final : public grpc::ServerBidiReactor<v1::StreamingRequest, v1::StreamingResponse> {
   public:
    Refusal() {
      Finish({grpc::StatusCode::UNIMPLEMENTED, "this server has no StreamingTranscribe yet: call Transcribe"});
    }
    void OnDone() override { delete this; }
  };
  return new Refusal();
}

}  // namespace voicestream::stt
