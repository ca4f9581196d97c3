// The metrics as a scraper reads them: over HTTP.
#include "metrics.h"

#include <gtest/gtest.h>

#include <string>

#include "scrape.h"

namespace voicestream::stt {
namespace {

class MetricsTest : public testing::Test {
 protected:
  Scheduler::Counts counts_{3, 2, 1, 7};
  std::shared_ptr<Metrics> metrics_ = std::make_shared<Metrics>("tiny.en", 4, [this] { return counts_; });
  MetricsEndpoint endpoint_{"127.0.0.1:0", metrics_};
};

TEST_F(MetricsTest, ShowsEverySeriesFromTheStart) {
  const std::string page = scrape(endpoint_.port());
  for (const char* outcome : {"ok", "invalid", "refused", "expired", "cancelled", "stopping", "failed"}) {
    for (const char* kind : {"final", "interim"}) {
      EXPECT_TRUE(
          has_line(page, std::string("stt_requests_total{kind=\"") + kind + "\",outcome=\"" + outcome + "\"} 0"))
          << page;
    }
  }
  EXPECT_TRUE(has_line(page, "stt_inference_seconds_count{kind=\"final\"} 0"));
  EXPECT_NE(page.find("stt_build_info{model=\"tiny.en\",whisper_cpp=\""), std::string::npos);
}

TEST_F(MetricsTest, ShowsWhatTheSchedulerHolds) {
  const std::string page = scrape(endpoint_.port());
  EXPECT_TRUE(has_line(page, "stt_queue_length{kind=\"final\"} 3")) << page;
  EXPECT_TRUE(has_line(page, "stt_queue_length{kind=\"interim\"} 2"));
  EXPECT_TRUE(has_line(page, "stt_busy_workers 1"));
  EXPECT_TRUE(has_line(page, "stt_workers 4"));
  EXPECT_TRUE(has_line(page, "stt_interims_dropped_total 7"));
}

TEST_F(MetricsTest, CountsWhatEndedAndHowLongItTook) {
  metrics_->ended(Kind::kFinal, grpc::StatusCode::OK);
  metrics_->transcribed(Kind::kFinal, 3.5, 0.06, 0.12);
  metrics_->ended(Kind::kInterim, grpc::StatusCode::RESOURCE_EXHAUSTED);
  metrics_->ended(Kind::kFinal, grpc::StatusCode::UNKNOWN);
  const std::string page = scrape(endpoint_.port());
  EXPECT_TRUE(has_line(page, "stt_requests_total{kind=\"final\",outcome=\"ok\"} 1")) << page;
  EXPECT_TRUE(has_line(page, "stt_requests_total{kind=\"interim\",outcome=\"refused\"} 1"));
  EXPECT_TRUE(has_line(page, "stt_requests_total{kind=\"final\",outcome=\"failed\"} 1"));
  EXPECT_TRUE(has_line(page, "stt_audio_seconds_total{kind=\"final\"} 3.5"));
  EXPECT_TRUE(has_line(page, "stt_queue_seconds_bucket{kind=\"final\",le=\"0.05\"} 0"));
  EXPECT_TRUE(has_line(page, "stt_queue_seconds_bucket{kind=\"final\",le=\"0.075\"} 1"));
  EXPECT_TRUE(has_line(page, "stt_inference_seconds_sum{kind=\"final\"} 0.12"));
}

TEST_F(MetricsTest, NamesTheAddressThatIsTaken) {
  const std::string taken = "127.0.0.1:" + std::to_string(endpoint_.port());
  try {
    const MetricsEndpoint second(taken, metrics_);
    FAIL();
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find(taken), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace voicestream::stt
