// Who computes what next: a bounded queue of jobs, the most urgent first, and a thread for each worker.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace voicestream::stt {

using Clock = std::chrono::steady_clock;

enum class Dropped { kCancelled, kExpired, kStopping };

// A piece of work. Of an accepted job exactly one of `run` and `drop` is called, once.
class Job {
 public:
  explicit Job(Clock::time_point deadline) : deadline_(deadline) {}
  virtual ~Job() = default;
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  // Called on the worker's own thread; should return soon after `unwanted` becomes true.
  virtual void run(std::size_t worker) = 0;

  // Called instead of `run`, on any thread.
  virtual void drop(Dropped reason) = 0;

  Clock::time_point deadline() const { return deadline_; }
  bool cancelled() const { return cancelled_; }
  bool unwanted() const { return cancelled_ || Clock::now() >= deadline_; }

 private:
  friend class Scheduler;
  const Clock::time_point deadline_;
  std::atomic<bool> cancelled_{false};
};

class Scheduler {
 public:
  enum class Admission { kAccepted, kFull, kStopping };

  // `queue_limit` jobs may wait beside those that run.
  Scheduler(std::size_t workers, std::size_t queue_limit);
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  Admission submit(std::shared_ptr<Job> job);

  // Drops the job where it waits; a running one sees it in `unwanted`. May be called before `submit`.
  void cancel(Job& job);

  // When half of the queue will have been served, as far as the last jobs tell: when it is worth to try again.
  std::chrono::milliseconds retry_after() const;

  // Drops what waits and returns when nothing runs any more.
  void stop();

 private:
  void work(std::size_t worker);

  const std::size_t workers_;
  const std::size_t queue_limit_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::multimap<Clock::time_point, std::shared_ptr<Job>> queue_;  // equal deadlines: first come, first served
  std::size_t running_ = 0;
  bool stopping_ = false;
  double mean_run_ms_ = 300;  // of the last ten or so; before them a guess
  std::vector<std::thread> threads_;
};

}  // namespace voicestream::stt
