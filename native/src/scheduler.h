// Who computes what next: a bounded queue of jobs, the most urgent first, and a thread for each worker. Interim jobs,
// of which a newer one will come anyway, make way for all others: they start when no other waits, leave one worker
// free where there are two or more, fill no more than half of the queue, leave it when it is full, and end when every
// worker is busy and another job comes.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace voicestream::stt {

using Clock = std::chrono::steady_clock;

enum class Kind { kFinal, kInterim };

enum class Dropped { kCancelled, kExpired, kMadeWay, kStopping };

// A piece of work. Of an accepted job exactly one of `run` and `drop` is called, once.
class Job {
 public:
  explicit Job(Clock::time_point deadline, Kind kind = Kind::kFinal) : deadline_(deadline), kind_(kind) {}
  virtual ~Job() = default;
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  // Called on the worker's own thread; should return soon after `unwanted` becomes true.
  virtual void run(std::size_t worker) = 0;

  // Called instead of `run`, on any thread.
  virtual void drop(Dropped reason) = 0;

  Clock::time_point deadline() const { return deadline_; }
  Kind kind() const { return kind_; }
  bool unwanted() const { return cancelled_ || makes_way_ || Clock::now() >= deadline_; }

  // Of an unwanted one.
  Dropped why_unwanted() const {
    return cancelled_ ? Dropped::kCancelled : makes_way_ ? Dropped::kMadeWay : Dropped::kExpired;
  }

 private:
  friend class Scheduler;
  const Clock::time_point deadline_;
  const Kind kind_;
  std::atomic<bool> cancelled_{false};
  std::atomic<bool> makes_way_{false};
};

class Scheduler {
 public:
  enum class Admission { kAccepted, kFull, kStopping };

  struct Counts {
    std::size_t finals_waiting;
    std::size_t interims_waiting;
    std::size_t running;
    std::uint64_t interims_dropped;  // since the start: refused, or made to make way
  };

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

  Counts counts() const;

  // Drops what waits and returns when nothing runs any more.
  void stop();

 private:
  using Queue = std::multimap<Clock::time_point, std::shared_ptr<Job>>;  // equal deadlines: first come, first served

  void work(std::size_t worker);
  std::shared_ptr<Job> next();
  Queue& queue_of(const Job& job) { return job.kind() == Kind::kFinal ? finals_ : interims_; }
  // These are called with the mutex held.
  std::size_t interims_running() const;
  std::size_t interims_to_start() const;
  bool has_room_for(const Job& job) const;
  std::shared_ptr<Job> take_surplus();
  void make_way();

  const std::size_t workers_;
  const std::size_t queue_limit_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Queue finals_;
  Queue interims_;
  std::vector<std::shared_ptr<Job>> running_;  // the last started is the last
  std::uint64_t interims_dropped_ = 0;
  bool stopping_ = false;
  double mean_run_ms_ = 300;  // of the last ten or so; before them a guess
  std::vector<std::thread> threads_;
};

}  // namespace voicestream::stt
