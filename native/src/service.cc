#include "service.h"

#include <algorithm>
#include <string>
#include <utility>

#include "audio.h"

namespace voicestream::stt {
namespace {

constexpr auto kRetryTrailer = "grpc-retry-pushback-ms";  // gRPC's own clients heed it (gRFC A6)

grpc::Status objection_to(const v1::TranscribeRequest& request, const Model& model) {
  const v1::Format& format = request.format();
  std::string what;
  if (format.encoding() != v1::PCM16 && format.encoding() != v1::MULAW) {
    what = "format.encoding must be PCM16 or MULAW";
  } else if (format.sample_rate_hz() != 8000 && format.sample_rate_hz() != kRate) {
    what = "format.sample_rate_hz must be 8000 or 16000, it is " + std::to_string(format.sample_rate_hz());
  } else if (format.encoding() == v1::PCM16 && request.audio().size() % 2 != 0) {
    what = "audio has " + std::to_string(request.audio().size()) + " bytes: PCM16 takes two for each sample";
  } else {
    what = model.objection_to(format.language());
  }
  return what.empty() ? grpc::Status::OK : grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, what);
}

std::vector<float> samples_of(const v1::TranscribeRequest& request) {
  std::vector<float> samples =
      request.format().encoding() == v1::MULAW ? decode_mulaw(request.audio()) : decode_pcm16(request.audio());
  return request.format().sample_rate_hz() == kRate ? samples : upsample_by_two(samples);
}

void fill(v1::Transcript& message, const Transcript& transcript) {
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
}

float ms_between(Clock::time_point from, Clock::time_point until) {
  return std::chrono::duration<float, std::milli>(until - from).count();
}

// gRPC's deadline is a time of day; the scheduler must not follow when that clock is set.
Clock::time_point deadline_of(const grpc::CallbackServerContext& context, std::chrono::milliseconds longest_wait) {
  const auto left = context.deadline() - std::chrono::system_clock::now();
  return Clock::now() + std::min<Clock::duration>(left, longest_wait);
}

grpc::Status status_of(Dropped reason) {
  switch (reason) {
    case Dropped::kCancelled:
      return {grpc::StatusCode::CANCELLED, "cancelled by the client"};
    case Dropped::kExpired:
      return {grpc::StatusCode::DEADLINE_EXCEEDED, "the deadline passed before there was a transcript"};
    case Dropped::kStopping:
      break;
  }
  return {grpc::StatusCode::UNAVAILABLE, "the server is shutting down"};
}

}  // namespace

// One call of Transcribe: the job of the scheduler. gRPC frees it by OnDone, which comes after Finish and OnCancel; the
// job, which threads may still hold then, is freed by the last of them.
class UnaryCall final : public grpc::ServerUnaryReactor {
 public:
  UnaryCall(Service& service, grpc::CallbackServerContext& context, const v1::TranscribeRequest& request,
            v1::Transcript& response)
      : service_(service),
        job_(std::make_shared<Work>(*this, deadline_of(context, service.limits_.longest_wait))),
        request_(request),
        response_(response) {
    const grpc::Status objection = objection_to(request, service.model_);
    if (!objection.ok()) {
      Finish(objection);
      return;
    }
    switch (service.scheduler_.submit(job_)) {
      case Scheduler::Admission::kAccepted:
        break;
      case Scheduler::Admission::kFull: {
        const auto retry = std::to_string(service.scheduler_.retry_after().count());
        context.AddTrailingMetadata(kRetryTrailer, retry);
        Finish({grpc::StatusCode::RESOURCE_EXHAUSTED, "the queue is full: retry in " + retry + " ms"});
        break;
      }
      case Scheduler::Admission::kStopping:
        Finish(status_of(Dropped::kStopping));
        break;
    }
  }

  void OnCancel() override { service_.scheduler_.cancel(*job_); }
  void OnDone() override { delete this; }

 private:
  class Work final : public Job {
   public:
    Work(UnaryCall& call, Clock::time_point deadline) : Job(deadline), call_(call) {}

    void run(std::size_t worker) override { call_.Finish(call_.transcribe(*call_.service_.recognizers_[worker])); }
    void drop(Dropped reason) override { call_.Finish(status_of(reason)); }

   private:
    UnaryCall& call_;  // lives until it was finished
  };

  grpc::Status transcribe(Recognizer& recognizer) {
    const auto started = Clock::now();
    try {
      const Transcript transcript = recognizer.transcribe(samples_of(request_), request_.format().language(),
                                                          [this] { return job_->unwanted(); });
      if (job_->unwanted()) {
        return status_of(job_->cancelled() ? Dropped::kCancelled : Dropped::kExpired);
      }
      fill(response_, transcript);
    } catch (const std::exception& error) {
      return {grpc::StatusCode::INTERNAL, error.what()};
    }
    response_.set_model(service_.model_.name());
    response_.set_queue_ms(ms_between(arrived_, started));
    response_.set_inference_ms(ms_between(started, Clock::now()));
    return grpc::Status::OK;
  }

  const Clock::time_point arrived_ = Clock::now();
  Service& service_;
  const std::shared_ptr<Work> job_;
  const v1::TranscribeRequest& request_;
  v1::Transcript& response_;
};

Service::Service(const Model& model, const Limits& limits)
    : model_(model),
      limits_(limits),
      recognizers_([&] {
        std::vector<std::unique_ptr<Recognizer>> recognizers;
        for (std::size_t i = 0; i < limits.workers; ++i) {
          recognizers.push_back(std::make_unique<Recognizer>(model, limits.threads));
          // Memory is allocated at the first use: not while a caller waits.
          recognizers.back()->transcribe(std::vector<float>(kRate), "en", [] { return false; });
        }
        return recognizers;
      }()),
      scheduler_(limits.workers, limits.queue) {}

grpc::ServerUnaryReactor* Service::Transcribe(grpc::CallbackServerContext* context,
                                              const v1::TranscribeRequest* request, v1::Transcript* response) {
  return new UnaryCall(*this, *context, *request, *response);  // frees itself
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
