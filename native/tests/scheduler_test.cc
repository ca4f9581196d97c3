#include "scheduler.h"

#include <gtest/gtest.h>

#include <functional>
#include <future>
#include <optional>
#include <random>
#include <string>

namespace voicestream::stt {
namespace {

using namespace std::chrono_literals;

class Task final : public Job {
 public:
  explicit Task(Clock::duration within = 1min, std::function<void(Task&)> body = {}, Kind kind = Kind::kFinal)
      : Job(Clock::now() + within, kind), body_(std::move(body)) {}

  void run(std::size_t) override {
    if (body_) body_(*this);
    finish(std::nullopt);
  }
  void drop(Dropped reason) override { finish(reason); }

  // Nothing when it ran.
  std::optional<Dropped> outcome() { return outcome_.get_future().get(); }

 private:
  void finish(std::optional<Dropped> reason) { outcome_.set_value(reason); }  // throws the second time

  std::function<void(Task&)> body_;
  std::promise<std::optional<Dropped>> outcome_;
};

std::shared_ptr<Task> interim(std::function<void(Task&)> body = {}) {
  return std::make_shared<Task>(1min, std::move(body), Kind::kInterim);
}

// A task that runs until it is told, so that the queue behind it stays as it is.
class Plug {
 public:
  explicit Plug(Scheduler& scheduler) {
    scheduler.submit(task_);
    running_.get_future().wait();
  }
  ~Plug() {
    pull_.set_value();
    task_->outcome();
  }

 private:
  std::promise<void> running_;
  std::promise<void> pull_;
  std::shared_ptr<Task> task_ = std::make_shared<Task>(1min, [this](Task&) {
    running_.set_value();
    pull_.get_future().wait();
  });
};

TEST(Scheduler, RunsWhatIsSubmitted) {
  Scheduler scheduler(2, 4);
  auto task = std::make_shared<Task>();
  EXPECT_EQ(scheduler.submit(task), Scheduler::Admission::kAccepted);
  EXPECT_EQ(task->outcome(), std::nullopt);
}

TEST(Scheduler, TakesTheMostUrgentFirst) {
  Scheduler scheduler(1, 4);
  std::vector<int> order;
  std::vector<std::shared_ptr<Task>> tasks;
  {
    const Plug plug(scheduler);
    for (const int seconds : {30, 10, 20}) {
      tasks.push_back(
          std::make_shared<Task>(std::chrono::seconds(seconds), [&, seconds](Task&) { order.push_back(seconds); }));
      scheduler.submit(tasks.back());
    }
  }
  for (auto& task : tasks) task->outcome();
  EXPECT_EQ(order, (std::vector<int>{10, 20, 30}));
}

TEST(Scheduler, RefusesWhatTheQueueCannotHoldAndSaysWhenToRetry) {
  Scheduler scheduler(1, 1);
  auto waiting = std::make_shared<Task>();
  {
    const Plug plug(scheduler);
    EXPECT_EQ(scheduler.submit(waiting), Scheduler::Admission::kAccepted);
    EXPECT_EQ(scheduler.submit(std::make_shared<Task>()), Scheduler::Admission::kFull);
    EXPECT_GE(scheduler.retry_after(), 10ms);
  }
  EXPECT_EQ(waiting->outcome(), std::nullopt);
}

TEST(Scheduler, DropsWhatExpiredInTheQueue) {
  Scheduler scheduler(1, 1);
  auto late = std::make_shared<Task>(1ms);
  {
    const Plug plug(scheduler);
    scheduler.submit(late);
    std::this_thread::sleep_for(5ms);
  }
  EXPECT_EQ(late->outcome(), Dropped::kExpired);
}

TEST(Scheduler, ACancelledJobLeavesItsPlaceAtOnce) {
  Scheduler scheduler(1, 1);
  auto unwanted = std::make_shared<Task>();
  auto next = std::make_shared<Task>();
  {
    const Plug plug(scheduler);
    scheduler.submit(unwanted);
    scheduler.cancel(*unwanted);
    EXPECT_EQ(unwanted->outcome(), Dropped::kCancelled);
    EXPECT_EQ(scheduler.submit(next), Scheduler::Admission::kAccepted);
  }
  EXPECT_EQ(next->outcome(), std::nullopt);
}

TEST(Scheduler, ARunningJobSeesThatItWasCancelled) {
  Scheduler scheduler(1, 1);
  std::promise<void> running;
  auto task = std::make_shared<Task>(1min, [&](Task& self) {
    running.set_value();
    while (!self.unwanted()) std::this_thread::sleep_for(1ms);
  });
  scheduler.submit(task);
  running.get_future().wait();
  scheduler.cancel(*task);
  EXPECT_EQ(task->outcome(), std::nullopt);
}

TEST(Scheduler, OneCancelledBeforeItWasSubmittedIsDropped) {
  Scheduler scheduler(1, 1);
  auto task = std::make_shared<Task>();
  scheduler.cancel(*task);
  scheduler.submit(task);
  EXPECT_EQ(task->outcome(), Dropped::kCancelled);
}

TEST(Scheduler, StopDropsTheQueueWaitsForTheRestAndRefusesMore) {
  Scheduler scheduler(1, 2);
  std::promise<void> running;
  std::atomic<bool> ran{false};
  auto task = std::make_shared<Task>(1min, [&](Task&) {
    running.set_value();
    std::this_thread::sleep_for(20ms);
    ran = true;
  });
  auto waiting = std::make_shared<Task>();
  scheduler.submit(task);
  running.get_future().wait();
  scheduler.submit(waiting);
  scheduler.stop();
  EXPECT_TRUE(ran);
  EXPECT_EQ(waiting->outcome(), Dropped::kStopping);
  EXPECT_EQ(scheduler.submit(std::make_shared<Task>()), Scheduler::Admission::kStopping);
}

TEST(Scheduler, StartsInterimJobsAfterAllOthers) {
  Scheduler scheduler(1, 4);
  std::vector<std::string> order;
  auto first = interim([&](Task&) { order.emplace_back("interim"); });
  auto second = std::make_shared<Task>(1h, [&](Task&) { order.emplace_back("final"); });
  {
    const Plug plug(scheduler);
    scheduler.submit(first);
    scheduler.submit(second);
  }
  first->outcome();
  second->outcome();
  EXPECT_EQ(order, (std::vector<std::string>{"final", "interim"}));
}

TEST(Scheduler, InterimJobsFillHalfOfTheQueueAndTheRestIsKept) {
  Scheduler scheduler(1, 4);
  std::vector<std::shared_ptr<Task>> accepted;
  {
    const Plug plug(scheduler);
    for (int i = 0; i < 2; ++i) {
      accepted.push_back(interim());
      EXPECT_EQ(scheduler.submit(accepted.back()), Scheduler::Admission::kAccepted);
    }
    EXPECT_EQ(scheduler.submit(interim()), Scheduler::Admission::kFull);
    EXPECT_EQ(scheduler.counts().interims_dropped, 1U);
    for (int i = 0; i < 2; ++i) {
      accepted.push_back(std::make_shared<Task>());
      EXPECT_EQ(scheduler.submit(accepted.back()), Scheduler::Admission::kAccepted);
    }
    EXPECT_EQ(scheduler.counts().finals_waiting, 2U);
    EXPECT_EQ(scheduler.counts().interims_waiting, 2U);
    EXPECT_EQ(scheduler.counts().running, 1U);
  }
  for (auto& task : accepted) EXPECT_EQ(task->outcome(), std::nullopt);
}

TEST(Scheduler, AFinalJobPushesTheLastInterimOneOutOfAFullQueue) {
  Scheduler scheduler(1, 2);
  auto pushed_out = interim();
  auto final_one = std::make_shared<Task>();
  auto final_two = std::make_shared<Task>();
  {
    const Plug plug(scheduler);
    scheduler.submit(pushed_out);
    scheduler.submit(final_one);
    EXPECT_EQ(scheduler.submit(final_two), Scheduler::Admission::kAccepted);
    EXPECT_EQ(pushed_out->outcome(), Dropped::kMadeWay);
    EXPECT_EQ(scheduler.submit(std::make_shared<Task>()), Scheduler::Admission::kFull);
  }
  EXPECT_EQ(final_one->outcome(), std::nullopt);
  EXPECT_EQ(final_two->outcome(), std::nullopt);
  EXPECT_EQ(scheduler.counts().interims_dropped, 1U);
}

// Runs until it is unwanted, and says when it began.
std::shared_ptr<Task> endless_interim(std::promise<void>& running) {
  return interim([&](Task& self) {
    running.set_value();
    while (!self.unwanted()) std::this_thread::sleep_for(1ms);
  });
}

TEST(Scheduler, ARunningInterimJobMakesWayEvenWhereNoneMayWait) {
  Scheduler scheduler(1, 0);
  std::promise<void> running;
  auto displaced = endless_interim(running);
  auto final_one = std::make_shared<Task>();
  scheduler.submit(displaced);
  running.get_future().wait();
  EXPECT_EQ(scheduler.submit(interim()), Scheduler::Admission::kFull);
  EXPECT_EQ(scheduler.submit(final_one), Scheduler::Admission::kAccepted);
  EXPECT_EQ(final_one->outcome(), std::nullopt);
  EXPECT_EQ(displaced->outcome(), std::nullopt);  // it ran, and saw that it is unwanted
  EXPECT_EQ(displaced->why_unwanted(), Dropped::kMadeWay);
  EXPECT_EQ(scheduler.counts().interims_dropped, 2U);
}

TEST(Scheduler, AnInterimJobStaysWhereAnotherWorkerIsIdle) {
  Scheduler scheduler(2, 2);
  std::promise<void> running;
  auto stays = endless_interim(running);
  auto final_one = std::make_shared<Task>();
  scheduler.submit(stays);
  running.get_future().wait();
  scheduler.submit(final_one);
  EXPECT_EQ(final_one->outcome(), std::nullopt);
  EXPECT_FALSE(stays->unwanted());
  scheduler.cancel(*stays);
  EXPECT_EQ(stays->outcome(), std::nullopt);
  EXPECT_EQ(scheduler.counts().interims_dropped, 0U);
}

TEST(Scheduler, InterimJobsLeaveOneWorkerFree) {
  Scheduler scheduler(2, 2);
  std::promise<void> running;
  auto first = endless_interim(running);
  auto second = interim();
  scheduler.submit(first);
  running.get_future().wait();
  EXPECT_EQ(scheduler.submit(second), Scheduler::Admission::kAccepted);
  EXPECT_EQ(scheduler.submit(interim()), Scheduler::Admission::kFull);
  auto final_one = std::make_shared<Task>();
  scheduler.submit(final_one);
  EXPECT_EQ(final_one->outcome(), std::nullopt);
  EXPECT_EQ(scheduler.counts().interims_waiting, 1U);
  scheduler.cancel(*first);
  EXPECT_EQ(first->outcome(), std::nullopt);
  EXPECT_EQ(second->outcome(), std::nullopt);
}

TEST(Scheduler, OnlyTheInterimJobThatStartedLastMakesWayForOneFinal) {
  Scheduler scheduler(3, 2);
  const Plug plug(scheduler);
  std::promise<void> first_running;
  std::promise<void> second_running;
  auto first = endless_interim(first_running);
  auto second = endless_interim(second_running);
  scheduler.submit(first);
  first_running.get_future().wait();
  scheduler.submit(second);
  second_running.get_future().wait();
  auto final_one = std::make_shared<Task>();
  scheduler.submit(final_one);
  EXPECT_EQ(final_one->outcome(), std::nullopt);
  EXPECT_FALSE(first->unwanted());
  EXPECT_TRUE(second->unwanted());
  scheduler.cancel(*first);
  first->outcome();
}

// 64 clients of which a third cancel: every accepted job ends once, whoever gets to it first.
TEST(Scheduler, EveryJobEndsOnceWhileClientsCancel) {
  Scheduler scheduler(4, 32);
  std::atomic<int> accepted{0};
  std::atomic<int> ended{0};
  std::vector<std::thread> clients;
  for (int client = 0; client < 64; ++client) {
    clients.emplace_back([&, client] {
      std::mt19937 random(client);
      for (int i = 0; i < 50; ++i) {
        const auto body = [](Task& self) {
          const auto until = Clock::now() + 50us;
          while (!self.unwanted() && Clock::now() < until) {
          }
        };
        const Kind kind = random() % 2 == 0 ? Kind::kFinal : Kind::kInterim;
        auto task = std::make_shared<Task>(std::chrono::microseconds(random() % 20000), body, kind);
        if (scheduler.submit(task) == Scheduler::Admission::kAccepted) {
          ++accepted;
          if (random() % 3 == 0) scheduler.cancel(*task);
          task->outcome();
          ++ended;
        }
      }
    });
  }
  for (auto& client : clients) client.join();
  EXPECT_EQ(accepted, ended);
  EXPECT_GT(ended, 0);
}

}  // namespace
}  // namespace voicestream::stt
