#include "unary_call.h"

#include "messages.h"

namespace voicestream::stt {

UnaryCall::UnaryCall(Transcriber& transcriber, grpc::CallbackServerContext& context,
                     const v1::TranscribeRequest& request, v1::Transcript& response)
    : transcriber_(transcriber),
      context_(context),
      request_(request),
      response_(response),
      transcription_(std::make_shared<Transcription>(
          transcriber, request.interim() ? Kind::kInterim : Kind::kFinal,
          deadline_of(context, transcriber.limits().longest_wait), request.format().language(),
          [this] { return samples_of(request_.audio(), request_.format()); },
          [this](const grpc::Status& status, const Transcription::Result& result) { answer(status, result); })) {
  grpc::Status objection = objection_to(request.format(), transcriber.model());
  if (objection.ok()) {
    objection = objection_to(request.audio(), request.format());
  }
  if (objection.ok()) {
    transcriber.submit(transcription_);
  } else {
    transcriber.metrics()->ended(transcription_->kind(), objection.error_code());
    Finish(objection);
  }
}

void UnaryCall::OnCancel() { transcriber_.cancel(*transcription_); }

void UnaryCall::answer(const grpc::Status& status, const Transcription::Result& result) {
  if (status.ok()) {
    fill(response_, result, transcriber_.model().name());
  }
  Finish(with_retry_hint(status, transcriber_.retry_after(), context_));
}

}  // namespace voicestream::stt
