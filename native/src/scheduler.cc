#include "scheduler.h"

#include <algorithm>
#include <utility>

namespace voicestream::stt {
namespace {

constexpr double kShareOfLast = 0.1;
constexpr double kShortestRetryMs = 10;

}  // namespace

Scheduler::Scheduler(std::size_t workers, std::size_t queue_limit) : workers_(workers), queue_limit_(queue_limit) {
  threads_.reserve(workers);
  for (std::size_t worker = 0; worker < workers; ++worker) {
    threads_.emplace_back([this, worker] { work(worker); });
  }
}

Scheduler::~Scheduler() { stop(); }

Scheduler::Admission Scheduler::submit(std::shared_ptr<Job> job) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) {
      return Admission::kStopping;
    }
    if (queue_.size() + running_ >= queue_limit_ + workers_) {
      return Admission::kFull;
    }
    const auto deadline = job->deadline();
    queue_.emplace(deadline, std::move(job));
  }
  changed_.notify_one();
  return Admission::kAccepted;
}

void Scheduler::cancel(Job& job) {
  std::shared_ptr<Job> found;
  {
    const std::lock_guard lock(mutex_);
    job.cancelled_ = true;
    const auto [first, last] = queue_.equal_range(job.deadline());
    const auto at = std::find_if(first, last, [&](const auto& entry) { return entry.second.get() == &job; });
    if (at == last) {
      return;
    }
    found = std::move(at->second);
    queue_.erase(at);
  }
  found->drop(Dropped::kCancelled);
}

std::chrono::milliseconds Scheduler::retry_after() const {
  const std::lock_guard lock(mutex_);
  const double half_queue = static_cast<double>(queue_limit_) / 2;
  const double ms = mean_run_ms_ * half_queue / static_cast<double>(workers_);
  return std::chrono::milliseconds(static_cast<std::int64_t>(std::max(ms, kShortestRetryMs)));
}

void Scheduler::stop() {
  std::multimap<Clock::time_point, std::shared_ptr<Job>> waiting;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    waiting.swap(queue_);
  }
  changed_.notify_all();
  for (const auto& entry : waiting) {
    entry.second->drop(Dropped::kStopping);
  }
  for (auto& thread : threads_) {
    if (thread.joinable()) {
      thread.join();
    }
  }
}

void Scheduler::work(std::size_t worker) {
  while (true) {
    std::shared_ptr<Job> job;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (stopping_) {
        return;
      }
      job = std::move(queue_.begin()->second);
      queue_.erase(queue_.begin());
      ++running_;
    }
    if (job->unwanted()) {
      job->drop(job->cancelled() ? Dropped::kCancelled : Dropped::kExpired);
      const std::lock_guard lock(mutex_);
      --running_;
      continue;
    }
    const auto started = Clock::now();
    job->run(worker);
    const std::chrono::duration<double, std::milli> ran = Clock::now() - started;
    const std::lock_guard lock(mutex_);
    --running_;
    mean_run_ms_ += (ran.count() - mean_run_ms_) * kShareOfLast;
  }
}

}  // namespace voicestream::stt
