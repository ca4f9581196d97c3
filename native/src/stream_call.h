// One call of StreamingTranscribe.
#pragma once

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "agreement.h"
#include "streams.h"
#include "stt.grpc.pb.h"
#include "transcription.h"

namespace voicestream::stt {

// Audio goes to the last segment, which is open until its end is asked for. Those before it wait for their finals,
// which are answered in order. The open one is transcribed each time that it has grown by the interval, by one pass at
// a time, for an interim answer.
//
// gRPC's reactions, the workers, and whoever drains the server come on threads of their own, and take the mutex. What
// calls back - to submit and to cancel transcriptions - is done without it, at the end of `proceed`.
class StreamCall final : public grpc::ServerBidiReactor<v1::StreamingRequest, v1::StreamingResponse>,
                         public std::enable_shared_from_this<StreamCall> {
 public:
  // It lives until gRPC is done with it and no transcription will call back.
  static StreamCall* begin(Transcriber& transcriber, Streams& streams, grpc::CallbackServerContext& context);

  StreamCall(Transcriber& transcriber, Streams& streams, grpc::CallbackServerContext& context);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  // Takes no more segments than the open one, and ends with UNAVAILABLE after its final.
  void drain();

  // Ends with UNAVAILABLE at once.
  void end();

 private:
  struct Segment {
    std::uint32_t number;
    std::string audio{};    // while it is open, as is what follows
    std::size_t heard = 0;  // how much of it the last pass took
    Agreement agreement{};
    std::shared_ptr<Transcription> transcription{};  // under way: for an interim answer or, when closed, the final one
    std::optional<grpc::Status> outcome{};           // of the final one
    v1::StreamingResponse answer{};                  // if that is OK
  };

  struct Errands {
    std::vector<std::shared_ptr<Transcription>> submit{};
    std::vector<std::shared_ptr<Transcription>> cancel{};
  };

  using Lock = std::unique_lock<std::mutex>;

  // All but `hear`, `interim` and `final` are called with the mutex held.
  grpc::Status take(Errands& errands);
  grpc::Status begin_with(const v1::StreamingRequest& request);
  grpc::Status append(const std::string& audio, Errands& errands);
  void open_segment();
  void close_segment(Errands& errands);
  void discard_open_segment(Errands& errands);
  void close_input(const grpc::Status& verdict);
  void give_up(const grpc::Status& verdict, Errands& errands);
  void pass_if_due(Errands& errands);
  void answer_in_order(Errands& errands);
  void proceed(Lock lock, const Errands& errands);

  std::vector<float> hear(std::uint32_t number);
  void interim(std::uint32_t number, const grpc::Status& status, Transcription::Result result);
  void final(std::uint32_t number, const grpc::Status& status, const Transcription::Result& result);

  Transcriber& transcriber_;
  Streams& streams_;
  grpc::CallbackServerContext& context_;
  std::shared_ptr<StreamCall> self_;  // until gRPC is done

  std::mutex mutex_;
  std::optional<v1::Format> format_;
  std::size_t interval_ = 0;  // bytes
  std::uint32_t next_number_ = 0;
  std::deque<Segment> segments_;  // without a final that was answered
  bool open_ = false;             // the last of them takes audio
  std::deque<v1::StreamingResponse> answers_;
  bool input_over_ = false;
  bool draining_ = false;
  grpc::Status verdict_;  // how it ends, once all is answered

  v1::StreamingRequest request_;
  v1::StreamingResponse response_;
  bool reading_ = false;  // into `request_`
  bool writing_ = false;  // from `response_`
  bool finished_ = false;
};

}  // namespace voicestream::stt
