#include "streams.h"

#include "stream_call.h"

namespace voicestream::stt {

bool Streams::add(StreamCall& stream) {
  const std::lock_guard lock(mutex_);
  if (!draining_) {
    open_.insert(&stream);
  }
  return !draining_;
}

void Streams::remove(StreamCall& stream) {
  const std::lock_guard lock(mutex_);
  open_.erase(&stream);
  removed_.notify_all();
}

void Streams::drain(Clock::time_point until) {
  std::unique_lock lock(mutex_);
  draining_ = true;
  for (StreamCall* stream : open_) {
    stream->drain();
  }
  removed_.wait_until(lock, until, [this] { return open_.empty(); });
  for (StreamCall* stream : open_) {
    stream->end();
  }
}

}  // namespace voicestream::stt
