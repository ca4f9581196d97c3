// A model, the recognizers that share its weights, and the scheduler that says which of them takes what.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <vector>

#include "metrics.h"
#include "model.h"
#include "scheduler.h"

namespace voicestream::stt {

class Transcription;

struct Limits {
  std::size_t workers;                     // clips that are transcribed at the same time
  std::size_t queue;                       // requests that wait beside them
  int threads;                             // for each worker
  std::chrono::milliseconds longest_wait;  // the deadline of a request that brings none
};

class Transcriber {
 public:
  // Raises ModelError when there is no memory for so many workers.
  Transcriber(const Model& model, const Limits& limits);

  const Model& model() const { return model_; }
  const Limits& limits() const { return limits_; }
  Recognizer& recognizer(std::size_t worker) { return *recognizers_[worker]; }

  // Tells the transcription's `Done` once, maybe before this returns.
  void submit(const std::shared_ptr<Transcription>& transcription);

  void cancel(Transcription& transcription);
  std::chrono::milliseconds retry_after() const { return scheduler_.retry_after(); }
  Scheduler::Counts counts() const { return scheduler_.counts(); }

  // They ask this for its counts: what serves them must end before this does.
  const std::shared_ptr<Metrics>& metrics() const { return metrics_; }

  // Ends what waits, and returns when nothing runs any more.
  void stop() { scheduler_.stop(); }

 private:
  const Model& model_;
  const Limits limits_;
  std::vector<std::unique_ptr<Recognizer>> recognizers_;  // one for each worker
  const std::shared_ptr<Metrics> metrics_;
  Scheduler scheduler_;  // the last member: its threads use the others
};

}  // namespace voicestream::stt
