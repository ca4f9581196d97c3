#include "scheduler.h"

#include <algorithm>
#include <iterator>
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
  std::shared_ptr<Job> surplus;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) {
      return Admission::kStopping;
    }
    if (!has_room_for(*job)) {
      interims_dropped_ += job->kind() == Kind::kInterim ? 1 : 0;
      return Admission::kFull;
    }
    Queue& queue = queue_of(*job);
    queue.emplace(job->deadline(), std::move(job));
    surplus = take_surplus();
    make_way();
  }
  changed_.notify_one();
  if (surplus) {
    surplus->drop(Dropped::kMadeWay);
  }
  return Admission::kAccepted;
}

std::size_t Scheduler::interims_running() const {
  return static_cast<std::size_t>(
      std::count_if(running_.begin(), running_.end(), [](const auto& job) { return job->kind() == Kind::kInterim; }));
}

// How many the workers can take that final jobs leave idle.
std::size_t Scheduler::interims_to_start() const {
  const std::size_t most = std::max<std::size_t>(workers_ - 1, 1);
  const std::size_t idle = workers_ - std::min(workers_, finals_.size() + running_.size());
  return std::min(idle, most - interims_running());
}

bool Scheduler::has_room_for(const Job& job) const {
  const std::size_t busy = finals_.size() + running_.size();
  if (job.kind() == Kind::kFinal) {
    return busy - interims_running() < queue_limit_ + workers_;
  }
  return busy + interims_.size() < queue_limit_ + workers_ && interims_.size() < queue_limit_ / 2 + interims_to_start();
}

// The least urgent interim job, out of a queue that holds more than it may.
std::shared_ptr<Job> Scheduler::take_surplus() {
  if (interims_.empty() || finals_.size() + interims_.size() + running_.size() <= queue_limit_ + workers_) {
    return nullptr;
  }
  const auto last = std::prev(interims_.end());
  std::shared_ptr<Job> surplus = std::move(last->second);
  interims_.erase(last);
  ++interims_dropped_;
  return surplus;
}

// Ends the interim job that started last, if there is a final one that finds no worker without that.
void Scheduler::make_way() {
  std::size_t free = workers_ - running_.size();
  std::shared_ptr<Job> youngest;
  for (const auto& job : running_) {
    if (job->unwanted()) {
      ++free;
    } else if (job->kind() == Kind::kInterim) {
      youngest = job;
    }
  }
  if (finals_.size() > free && youngest) {
    youngest->makes_way_ = true;
    ++interims_dropped_;
  }
}

void Scheduler::cancel(Job& job) {
  std::shared_ptr<Job> found;
  {
    const std::lock_guard lock(mutex_);
    job.cancelled_ = true;
    Queue& queue = queue_of(job);
    const auto [first, last] = queue.equal_range(job.deadline());
    const auto at = std::find_if(first, last, [&](const auto& entry) { return entry.second.get() == &job; });
    if (at == last) {
      return;
    }
    found = std::move(at->second);
    queue.erase(at);
  }
  found->drop(Dropped::kCancelled);
}

std::chrono::milliseconds Scheduler::retry_after() const {
  const std::lock_guard lock(mutex_);
  const double half_queue = static_cast<double>(queue_limit_) / 2;
  const double ms = mean_run_ms_ * half_queue / static_cast<double>(workers_);
  return std::chrono::milliseconds(static_cast<std::int64_t>(std::max(ms, kShortestRetryMs)));
}

Scheduler::Counts Scheduler::counts() const {
  const std::lock_guard lock(mutex_);
  return {finals_.size(), interims_.size(), running_.size(), interims_dropped_};
}

void Scheduler::stop() {
  Queue waiting;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    waiting.swap(finals_);
    waiting.merge(interims_);
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
  while (const std::shared_ptr<Job> job = next()) {
    const auto started = Clock::now();
    if (job->unwanted()) {
      job->drop(job->why_unwanted());
    } else {
      job->run(worker);
    }
    const std::chrono::duration<double, std::milli> ran = Clock::now() - started;
    const std::lock_guard lock(mutex_);
    running_.erase(std::find(running_.begin(), running_.end(), job));
    if (!job->unwanted()) {
      mean_run_ms_ += (ran.count() - mean_run_ms_) * kShareOfLast;
    }
  }
}

// Nothing when it is time to stop.
std::shared_ptr<Job> Scheduler::next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock,
                [this] { return stopping_ || !finals_.empty() || (!interims_.empty() && interims_to_start() > 0); });
  if (stopping_) {
    return nullptr;
  }
  Queue& queue = finals_.empty() ? interims_ : finals_;
  std::shared_ptr<Job> job = std::move(queue.begin()->second);
  queue.erase(queue.begin());
  running_.push_back(job);
  return job;
}

}  // namespace voicestream::stt
