#include "stream_call.h"

#include <algorithm>
#include <utility>

#include "messages.h"

namespace voicestream::stt {
namespace {

constexpr std::size_t kLongestSegmentS = 30;  // what Whisper hears at once
constexpr std::uint32_t kInterimIntervalMs = 1000;
constexpr std::uint32_t kShortestIntervalMs = 200;
constexpr std::size_t kMostUnanswered = 8;  // with more of them a stream is not read: the client has to wait

grpc::Status invalid(const std::string& what) { return {grpc::StatusCode::INVALID_ARGUMENT, what}; }

grpc::Status shutting_down() { return {grpc::StatusCode::UNAVAILABLE, "the server is shutting down"}; }

grpc::Status cancelled() { return {grpc::StatusCode::CANCELLED, "cancelled by the client"}; }

// A transcript of some of its words.
void cut(Transcript& transcript, const std::vector<Word>& words) {
  transcript.words = words;
  transcript.text = joined(words, is_spaced(transcript.language));
  transcript.confidence = mean_confidence(words);
}

}  // namespace

StreamCall* StreamCall::begin(Transcriber& transcriber, Streams& streams, grpc::CallbackServerContext& context) {
  const auto call = std::make_shared<StreamCall>(transcriber, streams, context);
  call->self_ = call;
  const bool taken = streams.add(*call);
  Lock lock(call->mutex_);
  if (!taken) {
    call->close_input(shutting_down());
  }
  call->proceed(std::move(lock), {});
  return call.get();  // `self_` keeps it until OnDone, which comes after gRPC has got it
}

StreamCall::StreamCall(Transcriber& transcriber, Streams& streams, grpc::CallbackServerContext& context)
    : transcriber_(transcriber), streams_(streams), context_(context) {}

void StreamCall::OnReadDone(bool ok) {
  Lock lock(mutex_);
  Errands errands;
  reading_ = false;
  if (!input_over_ && ok) {
    if (const grpc::Status objection = take(errands); !objection.ok()) {
      transcriber_.metrics()->ended(Kind::kFinal, objection.error_code());
      discard_open_segment(errands);
      close_input(objection);
    }
  } else if (!input_over_) {
    close_input(grpc::Status::OK);  // first: all of it is answered, also where the server is shutting down
    if (open_) {
      close_segment(errands);
    }
  }
  proceed(std::move(lock), errands);
}

void StreamCall::OnWriteDone(bool ok) {
  Lock lock(mutex_);
  Errands errands;
  writing_ = false;
  if (!ok) {
    answers_.clear();
    give_up(cancelled(), errands);
  }
  proceed(std::move(lock), errands);
}

void StreamCall::OnCancel() {
  Lock lock(mutex_);
  Errands errands;
  answers_.clear();
  give_up(cancelled(), errands);
  proceed(std::move(lock), errands);
}

void StreamCall::OnDone() {
  streams_.remove(*this);
  const auto last = std::move(self_);
}

void StreamCall::drain() {
  Lock lock(mutex_);
  Errands errands;
  draining_ = true;
  if (!open_ && !input_over_) {
    close_input(shutting_down());
  }
  proceed(std::move(lock), errands);
}

void StreamCall::end() {
  Lock lock(mutex_);
  Errands errands;
  give_up(shutting_down(), errands);
  proceed(std::move(lock), errands);
}

grpc::Status StreamCall::take(Errands& errands) {
  using Request = v1::StreamingRequest;
  const Request::RequestCase what = request_.request_case();
  if (!format_ && what != Request::kFormat) {
    return invalid("the first message of a stream gives the format");
  }
  switch (what) {
    case Request::kFormat:
      return begin_with(request_);
    case Request::kAudio:
      return append(request_.audio(), errands);
    case Request::kEndOfSegment:
      if (!request_.end_of_segment()) {
        return invalid("end_of_segment must be true where it is given");
      }
      close_segment(errands);
      return grpc::Status::OK;
    case Request::REQUEST_NOT_SET:
      break;
  }
  return invalid("a message has neither format nor audio nor end_of_segment");
}

grpc::Status StreamCall::begin_with(const v1::StreamingRequest& request) {
  if (format_) {
    return invalid("the format was given before: it is the first message of a stream, and no other");
  }
  format_ = request.format();
  const std::uint32_t asked = request.interim_interval_ms();
  const std::size_t ms = asked == 0 ? kInterimIntervalMs : std::max(asked, kShortestIntervalMs);
  interval_ = ms * bytes_per_second(*format_) / 1000;
  return objection_to(*format_, transcriber_.model());
}

grpc::Status StreamCall::append(const std::string& audio, Errands& errands) {
  if (grpc::Status objection = objection_to(audio, *format_); !objection.ok() || audio.empty()) {
    return objection;
  }
  if (!open_) {
    open_segment();
  }
  Segment& segment = segments_.back();
  if (segment.audio.size() + audio.size() > kLongestSegmentS * bytes_per_second(*format_)) {
    return invalid("segment " + std::to_string(segment.number) + " is longer than " + std::to_string(kLongestSegmentS) +
                   " s: end_of_segment must come before that");
  }
  segment.audio += audio;
  pass_if_due(errands);
  return grpc::Status::OK;
}

void StreamCall::open_segment() {
  segments_.push_back({next_number_++});
  open_ = true;
}

// Has the segment's final made, of no audio where none was sent.
void StreamCall::close_segment(Errands& errands) {
  if (!open_) {
    open_segment();
  }
  Segment& segment = segments_.back();
  if (segment.transcription) {
    errands.cancel.push_back(std::move(segment.transcription));
  }
  segment.transcription = std::make_shared<Transcription>(
      transcriber_, Kind::kFinal, deadline_of(context_, transcriber_.limits().longest_wait), format_->language(),
      [audio = std::move(segment.audio), format = *format_] { return samples_of(audio, format); },
      [self = shared_from_this(), number = segment.number](
          const grpc::Status& status, const Transcription::Result& result) { self->final(number, status, result); });
  errands.submit.push_back(segment.transcription);
  open_ = false;
  if (draining_) {
    close_input(shutting_down());
  }
}

void StreamCall::discard_open_segment(Errands& errands) {
  if (open_) {
    if (segments_.back().transcription) {
      errands.cancel.push_back(std::move(segments_.back().transcription));
    }
    segments_.pop_back();
    open_ = false;
  }
}

// The finals that are asked for are still answered.
void StreamCall::close_input(const grpc::Status& verdict) {
  if (!input_over_) {
    input_over_ = true;
    verdict_ = verdict;
  }
}

void StreamCall::give_up(const grpc::Status& verdict, Errands& errands) {
  for (Segment& segment : segments_) {
    if (segment.transcription) {
      errands.cancel.push_back(std::move(segment.transcription));
    }
  }
  segments_.clear();
  open_ = false;
  input_over_ = true;
  verdict_ = verdict;
}

void StreamCall::pass_if_due(Errands& errands) {
  Segment& segment = segments_.back();
  if (draining_ || segment.transcription || segment.audio.size() < segment.heard + interval_) {
    return;
  }
  segment.heard = segment.audio.size();
  const auto self = shared_from_this();
  segment.transcription = std::make_shared<Transcription>(
      transcriber_, Kind::kInterim, deadline_of(context_, transcriber_.limits().longest_wait), format_->language(),
      [self, number = segment.number] { return self->hear(number); },
      [self, number = segment.number](const grpc::Status& status, const Transcription::Result& result) {
        self->interim(number, status, result);
      });
  errands.submit.push_back(segment.transcription);
}

// What there is of the segment by now, which may be more than when the pass was asked for.
std::vector<float> StreamCall::hear(std::uint32_t number) {
  std::string audio;
  {
    const Lock lock(mutex_);
    if (!open_ || segments_.back().number != number) {
      return {};
    }
    segments_.back().heard = segments_.back().audio.size();
    audio = segments_.back().audio;
  }
  return samples_of(audio, *format_);
}

// A pass that was refused, or made way, is not told to the client: after the interval there is another one.
void StreamCall::interim(std::uint32_t number, const grpc::Status& status, Transcription::Result result) {
  Lock lock(mutex_);
  if (!open_ || segments_.back().number != number) {
    return;
  }
  Errands errands;
  Segment& segment = segments_.back();
  segment.transcription.reset();
  if (status.ok() && segment.agreement.add(result.transcript.words)) {
    cut(result.transcript, segment.agreement.words());
    v1::StreamingResponse answer;
    answer.set_segment(number);
    fill(*answer.mutable_transcript(), result, transcriber_.model().name());
    if (!answers_.empty() && !answers_.back().final() && answers_.back().segment() == number) {
      answers_.pop_back();  // it waits for a client that reads slowly: the newer one says all of it
    }
    answers_.push_back(std::move(answer));
  }
  pass_if_due(errands);
  proceed(std::move(lock), errands);
}

void StreamCall::final(std::uint32_t number, const grpc::Status& status, const Transcription::Result& result) {
  Lock lock(mutex_);
  const auto segment =
      std::find_if(segments_.begin(), segments_.end(), [&](const Segment& one) { return one.number == number; });
  if (segment == segments_.end()) {
    return;
  }
  Errands errands;
  segment->transcription.reset();
  segment->outcome = status;
  segment->answer.set_segment(number);
  segment->answer.set_final(true);
  fill(*segment->answer.mutable_transcript(), result, transcriber_.model().name());
  answer_in_order(errands);
  proceed(std::move(lock), errands);
}

void StreamCall::answer_in_order(Errands& errands) {
  while (!segments_.empty() && segments_.front().outcome) {
    if (const grpc::Status status = *segments_.front().outcome; !status.ok()) {
      give_up(with_retry_hint(status, transcriber_.retry_after(), context_), errands);
      return;
    }
    answers_.push_back(std::move(segments_.front().answer));
    segments_.pop_front();
  }
}

// Starts what gRPC can do now, and then runs the errands.
void StreamCall::proceed(Lock lock, const Errands& errands) {
  bool finishes = false;
  if (!finished_) {
    if (!writing_ && !answers_.empty()) {
      writing_ = true;
      response_ = std::move(answers_.front());
      answers_.pop_front();
      StartWrite(&response_);
    }
    if (!reading_ && !input_over_ && segments_.size() + answers_.size() < kMostUnanswered) {
      reading_ = true;
      StartRead(&request_);
    }
    finishes = input_over_ && segments_.empty() && answers_.empty() && !writing_;
    finished_ = finishes;
  }
  const grpc::Status verdict = verdict_;
  lock.unlock();

  for (const auto& transcription : errands.cancel) {
    transcriber_.cancel(*transcription);
  }
  for (const auto& transcription : errands.submit) {
    transcriber_.submit(transcription);
  }
  if (finishes) {
    Finish(verdict);
  }
}

}  // namespace voicestream::stt
