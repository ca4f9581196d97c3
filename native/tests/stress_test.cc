// Scheduler and recognizers with the real model, without gRPC: under the thread sanitizer every access of ours is
// watched here, with no exception.
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

#include "audio.h"
#include "model.h"
#include "scheduler.h"
#include "speech.h"

namespace voicestream::stt {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kWorkers = 4;

class Clip final : public Job {
 public:
  Clip(std::vector<std::unique_ptr<Recognizer>>& recognizers, std::vector<float> samples, Kind kind)
      : Job(Clock::now() + 10min, kind), recognizers_(recognizers), samples_(std::move(samples)) {}

  void run(std::size_t worker) override {
    const auto transcript = recognizers_[worker]->transcribe(samples_, "en", [this] { return unwanted(); });
    ended_.set_value(unwanted() ? "" : transcript.text);  // throws the second time
  }
  void drop(Dropped) override { ended_.set_value(""); }

  // Empty when it was dropped or ended early.
  std::string text() { return ended_.get_future().get(); }

 private:
  std::vector<std::unique_ptr<Recognizer>>& recognizers_;
  const std::vector<float> samples_;
  std::promise<std::string> ended_;
};

// "your country can do for you": the same words whoever else is transcribed meanwhile.
std::vector<float> clip() {
  const auto samples = decode_pcm16(speech());
  return {samples.begin() + 5 * kRate, samples.begin() + 15 * kRate / 2};
}

TEST(Stress, SixtyFourClientsOfWhichAThirdCancelAndAThirdAreInterim) {
  SKIP_WITHOUT_MODEL();
  whisper_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
  const Model model(STT_TEST_MODEL, false);
  std::vector<std::unique_ptr<Recognizer>> recognizers;
  for (std::size_t i = 0; i < kWorkers; ++i) recognizers.push_back(std::make_unique<Recognizer>(model, 1));
  const std::string expected = recognizers[0]->transcribe(clip(), "en", [] { return false; }).text;
  EXPECT_NE(expected.find("country"), std::string::npos) << expected;

  Scheduler scheduler(kWorkers, 16);
  std::atomic<int> heard{0};
  std::vector<std::thread> clients;
  for (int client = 0; client < 64; ++client) {
    clients.emplace_back([&, client] {
      const auto kind = client % 3 == 1 ? Kind::kInterim : Kind::kFinal;
      const auto job = std::make_shared<Clip>(recognizers, clip(), kind);
      if (scheduler.submit(job) != Scheduler::Admission::kAccepted) {
        scheduler.retry_after();
        return;
      }
      if (client % 3 == 0) {
        std::this_thread::sleep_for(std::chrono::milliseconds(client));
        scheduler.cancel(*job);
      }
      const std::string text = job->text();
      EXPECT_TRUE(text == expected || (text.empty() && client % 3 != 2)) << client << ": " << text;
      heard += text.empty() ? 0 : 1;
      scheduler.counts();
    });
  }
  for (auto& client : clients) client.join();
  EXPECT_GT(heard, 0);
}

}  // namespace
}  // namespace voicestream::stt
