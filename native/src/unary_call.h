// One call of Transcribe.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>

#include "stt.grpc.pb.h"
#include "transcription.h"

namespace voicestream::stt {

// gRPC frees it by OnDone, which comes after Finish and OnCancel; the transcription, which threads may still hold then,
// is freed by the last of them.
class UnaryCall final : public grpc::ServerUnaryReactor {
 public:
  UnaryCall(Transcriber& transcriber, grpc::CallbackServerContext& context, const v1::TranscribeRequest& request,
            v1::Transcript& response);

  void OnCancel() override;
  void OnDone() override { delete this; }

 private:
  void answer(const grpc::Status& status, const Transcription::Result& result);

  Transcriber& transcriber_;
  grpc::CallbackServerContext& context_;
  const v1::TranscribeRequest& request_;
  v1::Transcript& response_;
  const std::shared_ptr<Transcription> transcription_;
};

}  // namespace voicestream::stt
