// The streams that are open, so that a server that shuts down can end them.
#pragma once

#include <condition_variable>
#include <mutex>
#include <set>

#include "scheduler.h"

namespace voicestream::stt {

class StreamCall;

class Streams {
 public:
  // False when no more are taken.
  bool add(StreamCall& stream);
  void remove(StreamCall& stream);

  // Has every stream end with the final of the segment that is open. Those that are left then are ended without it.
  void drain(Clock::time_point until);

 private:
  std::mutex mutex_;
  std::condition_variable removed_;
  std::set<StreamCall*> open_;
  bool draining_ = false;
};

}  // namespace voicestream::stt
