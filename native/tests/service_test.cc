#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "options.h"
#include "scrape.h"
#include "service_fixture.h"

namespace voicestream::stt {
namespace {

using namespace std::chrono_literals;

std::string noise(std::size_t bytes) {
  std::mt19937 random(1);
  std::string audio(bytes, '\0');
  for (std::size_t i = 0; i < bytes; i += 2) {
    audio[i] = static_cast<char>(random());
  }
  return audio;
}

TEST_F(ServiceTest, HearsTheWordsAndWhenTheyWereSaid) {
  ASSERT_TRUE(call(request_of(speech())).ok());
  EXPECT_EQ(
      transcript_.text(),
      "And so my fellow Americans ask not what your country can do for you ask what you can do for your country.");
  EXPECT_EQ(transcript_.words_size(), 22);
  unsigned previous = 0;
  for (const v1::Word& word : transcript_.words()) {
    EXPECT_GE(word.start_ms(), previous);
    EXPECT_GE(word.end_ms(), word.start_ms());
    EXPECT_LE(word.end_ms(), 11000U);
    previous = word.end_ms();
  }
  EXPECT_NEAR(transcript_.words(8).end_ms(), 6000, 700);  // "your", spoken five to six seconds in
  EXPECT_GT(transcript_.confidence(), 0.7);
  EXPECT_EQ(transcript_.language(), "en");
  EXPECT_EQ(transcript_.model(), "tiny.en");
  EXPECT_GT(transcript_.inference_ms(), 0);
}

TEST_F(ServiceTest, HearsTheTelephone) {
  ASSERT_TRUE(call(request_of(mulaw_at_8khz(speech()), v1::MULAW, 8000)).ok());
  EXPECT_NE(transcript_.text().find("what your country can do for you"), std::string::npos) << transcript_.text();
}

TEST_F(ServiceTest, TakesMoreThanWhisperHearsAtOnce) {
  ASSERT_TRUE(call(request_of(speech() + speech() + speech() + speech())).ok());
  EXPECT_GT(transcript_.words_size(), 70);
  EXPECT_GT(transcript_.words().rbegin()->end_ms(), 38000U);
}

TEST_F(ServiceTest, HearsNothingInATenthOfASecondOrLess) {
  for (const std::size_t bytes : {0U, 2U, 3200U}) {
    EXPECT_TRUE(call(request_of(std::string(bytes, '\0'))).ok()) << bytes;
  }
}

TEST_F(ServiceTest, SaysWhatIsWrongWithARequest) {
  const auto expect = [&](const v1::TranscribeRequest& request, const std::string& message) {
    const auto status = call(request);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_NE(status.error_message().find(message), std::string::npos) << status.error_message();
  };
  expect(request_of("", v1::ENCODING_UNSPECIFIED), "PCM16 or MULAW");
  expect(request_of("", v1::PCM16, 44100), "it is 44100");
  expect(request_of("abc"), "has 3 bytes");
  auto request = request_of("");
  request.mutable_format()->set_language("de");
  expect(request, "knows English alone");
  request.mutable_format()->set_language("klingon");
  expect(request, "doesn't know the language \"klingon\"");
}

TEST_F(ServiceTest, CountsWhatBecameOfItsRequests) {
  call(request_of(speech()));
  call(request_of("abc"));
  auto request = request_of(std::string(kBytesPerSecond, '\0'));
  request.set_interim(true);
  call(request);
  const MetricsEndpoint endpoint("127.0.0.1:0", service_->metrics());
  const std::string page = scrape(endpoint.port());
  EXPECT_TRUE(has_line(page, "stt_requests_total{kind=\"final\",outcome=\"ok\"} 1")) << page;
  EXPECT_TRUE(has_line(page, "stt_requests_total{kind=\"final\",outcome=\"invalid\"} 1"));
  EXPECT_TRUE(has_line(page, "stt_requests_total{kind=\"interim\",outcome=\"ok\"} 1"));
  EXPECT_TRUE(has_line(page, "stt_audio_seconds_total{kind=\"final\"} 11"));
  EXPECT_TRUE(has_line(page, "stt_inference_seconds_count{kind=\"interim\"} 1"));
}

TEST_F(ServiceTest, SaysWhenToRetryWhenTheQueueIsFull) {
  serve({1, 0, 1, 600s});
  const auto request = minutes_of_speech();
  grpc::ClientContext first;
  std::thread client([&] {
    v1::Transcript transcript;
    stub_->Transcribe(&first, request, &transcript);
  });
  wait_until_busy();

  grpc::ClientContext context;
  EXPECT_EQ(stub_->Transcribe(&context, request_of(speech()), &transcript_).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto found = trailers.find("grpc-retry-pushback-ms");
  first.TryCancel();
  client.join();
  ASSERT_NE(found, trailers.end());
  EXPECT_GE(std::stoi(std::string(found->second.data(), found->second.size())), 10);
}

TEST_F(ServiceTest, AnInterimRequestMakesWayForOneThatIsNot) {
  serve({1, 0, 1, 600s});
  auto request = minutes_of_speech();
  request.set_interim(true);
  grpc::ClientContext context;
  grpc::Status status;
  std::thread client([&] {
    v1::Transcript transcript;
    status = stub_->Transcribe(&context, request, &transcript);
  });
  wait_until_busy();
  EXPECT_TRUE(call(request_of(speech())).ok());
  client.join();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_NE(status.error_message().find("made way"), std::string::npos) << status.error_message();
  EXPECT_EQ(context.GetServerTrailingMetadata().count("grpc-retry-pushback-ms"), 1U);
  EXPECT_EQ(transcript_.words_size(), 22);
}

TEST_F(ServiceTest, KeepsTheDeadlineAndServesTheNext) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + 20ms);
  EXPECT_EQ(stub_->Transcribe(&context, request_of(speech()), &transcript_).error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(call(request_of(speech())).ok());
  EXPECT_EQ(transcript_.words_size(), 22);
}

TEST_F(ServiceTest, EndsARunWhoseClientIsGone) {
  serve({1, 4, 1, 600s});
  ASSERT_TRUE(call(request_of(speech())).ok());
  const float of_eleven_seconds = transcript_.inference_ms();
  const auto request = minutes_of_speech();
  grpc::ClientContext context;
  std::thread client([&] {
    v1::Transcript transcript;
    EXPECT_EQ(stub_->Transcribe(&context, request, &transcript).error_code(), grpc::StatusCode::CANCELLED);
  });
  wait_until_busy();
  context.TryCancel();
  client.join();
  ASSERT_TRUE(call(request_of(speech())).ok());
  EXPECT_LT(transcript_.queue_ms(), 5 * of_eleven_seconds);  // all of it would take some thirty times as long
  EXPECT_EQ(transcript_.words_size(), 22);
}

TEST_F(ServiceTest, FinishesWhatItHasAcceptedWhenItShutsDown) {
  std::thread client([&] { EXPECT_TRUE(call(request_of(speech())).ok()); });
  wait_until_busy();
  server_->Shutdown(std::chrono::system_clock::now() + 60s);
  client.join();
  EXPECT_EQ(transcript_.words_size(), 22);
}

TEST_F(ServiceTest, AnswersSixtyFourClientsOfWhichAThirdCancel) {
  serve({2, 16, 1, 600s});
  std::atomic<int> done{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 64; ++i) {
    clients.emplace_back([&, i] {
      grpc::ClientContext context;
      v1::Transcript transcript;
      std::thread cancel([&, i] {
        if (i % 3 == 0) {
          std::this_thread::sleep_for(std::chrono::milliseconds(i * 10));
          context.TryCancel();
        }
      });
      const auto status = stub_->Transcribe(&context, request_of(noise(kBytesPerSecond / 2)), &transcript);
      EXPECT_TRUE(status.ok() || status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED ||
                  (i % 3 == 0 && status.error_code() == grpc::StatusCode::CANCELLED))
          << status.error_message();
      done += status.ok() ? 1 : 0;
      cancel.join();
    });
  }
  for (auto& client : clients) client.join();
  EXPECT_GT(done, 0);
}

TEST(ModelTest, NamesAFileThatIsNoModel) {
  const std::string path = testing::TempDir() + "/broken.bin";
  std::ofstream(path) << std::string(1000, 'x');
  try {
    Model(path, false);
    FAIL();
  } catch (const ModelError& error) {
    EXPECT_NE(std::string(error.what()).find(path), std::string::npos);
  }
}

Options parsed(std::vector<std::string> words) {
  words.insert(words.begin(), "stt_server");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  return parse(static_cast<int>(words.size()), argv.data());
}

TEST(OptionsTest, QueueFollowsTheWorkers) {
  const Options options = parsed({"--model", "m.bin", "--workers", "3"});
  EXPECT_EQ(options.limits.workers, 3U);
  EXPECT_EQ(options.limits.queue, 24U);
}

TEST(OptionsTest, APortAloneIsOfTheLoopbackInterface) {
  const Options options = parsed({"--model", "m.bin", "--metrics", "9464", "--listen", "[::]:50051"});
  EXPECT_EQ(options.metrics, "127.0.0.1:9464");
  EXPECT_EQ(options.listen, "[::]:50051");
  EXPECT_EQ(parsed({"--model", "m.bin"}).metrics, "");
}

TEST(OptionsTest, RefusesWhatItCannotMean) {
  EXPECT_THROW(parsed({}), UsageError);
  EXPECT_THROW(parsed({"--model"}), UsageError);
  EXPECT_THROW(parsed({"--model", "m.bin", "--workers", "0"}), UsageError);
  EXPECT_THROW(parsed({"--model", "m.bin", "--workers", "2x"}), UsageError);
  EXPECT_THROW(parsed({"--model", "m.bin", "more"}), UsageError);
  EXPECT_THROW(parsed({"--model", "m.bin", "--listen", "localhost"}), UsageError);
  EXPECT_THROW(parsed({"--model", "m.bin", "--listen", "127.0.0.1:65536"}), UsageError);
  EXPECT_THROW(parsed({"--model", "m.bin", "--metrics", ":9464"}), UsageError);
}

}  // namespace
}  // namespace voicestream::stt
