// StreamingTranscribe, with speech in pieces of 100 ms.
#include <atomic>
#include <future>
#include <optional>
#include <thread>
#include <vector>

#include "scrape.h"
#include "service_fixture.h"

namespace voicestream::stt {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kPiece = kBytesPerSecond / 10;
constexpr unsigned kNoInterims = 60000;

v1::StreamingRequest format(unsigned interval_ms = 0) {
  v1::StreamingRequest request;
  *request.mutable_format() = request_of("").format();
  request.set_interim_interval_ms(interval_ms);
  return request;
}

v1::StreamingRequest audio(const std::string& pcm) {
  v1::StreamingRequest request;
  request.set_audio(pcm);
  return request;
}

v1::StreamingRequest end_of_segment(bool value = true) {
  v1::StreamingRequest request;
  request.set_end_of_segment(value);
  return request;
}

std::string seconds_of_speech(double from, double until) {
  const auto byte = [](double at) { return static_cast<std::size_t>(at * 10) * kPiece; };
  return speech().substr(byte(from), byte(until) - byte(from));
}

// A client's end of a stream; its answers are read on a thread.
class Stream {
 public:
  explicit Stream(v1::SpeechToText::Stub& stub, std::optional<Clock::duration> deadline = {}) {
    if (deadline) context_.set_deadline(std::chrono::system_clock::now() + *deadline);
    stream_ = stub.StreamingTranscribe(&context_);
    reader_ = std::thread([this] {
      for (v1::StreamingResponse response; stream_->Read(&response);) answers_.push_back(response);
      status_ = stream_->Finish();
    });
  }
  ~Stream() {
    if (reader_.joinable()) {
      context_.TryCancel();
      reader_.join();
    }
  }

  void write(const v1::StreamingRequest& request) { stream_->Write(request); }

  // In pieces, one after each pause.
  void say(const std::string& pcm, Clock::duration pause = 0ms) {
    for (std::size_t at = 0; at < pcm.size(); at += kPiece) {
      write(audio(pcm.substr(at, kPiece)));
      std::this_thread::sleep_for(pause);
    }
  }

  void done() { stream_->WritesDone(); }
  void cancel() { context_.TryCancel(); }

  // Waits for the end of the stream; after it `answers` may be read.
  grpc::Status wait() {
    reader_.join();
    return status_;
  }
  const std::vector<v1::StreamingResponse>& answers() const { return answers_; }
  bool says_when_to_retry() const { return context_.GetServerTrailingMetadata().count("grpc-retry-pushback-ms") == 1; }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::StreamingRequest, v1::StreamingResponse>> stream_;
  std::vector<v1::StreamingResponse> answers_;
  grpc::Status status_;
  std::thread reader_;
};

class StreamTest : public ServiceTest {
 protected:
  std::string text_of(const std::string& pcm) {
    EXPECT_TRUE(call(request_of(pcm)).ok());
    return transcript_.text();
  }
};

TEST_F(StreamTest, InterimTranscriptsGrowAndTheFinalOneIsThatOfTranscribe) {
  Stream stream(*stub_);
  stream.write(format());
  stream.say(speech(), 100ms);
  stream.write(end_of_segment());
  stream.done();
  EXPECT_TRUE(stream.wait().ok());

  const auto& answers = stream.answers();
  ASSERT_GE(answers.size(), 3U);
  std::string shown;
  for (auto answer = answers.begin(); answer + 1 != answers.end(); ++answer) {
    EXPECT_FALSE(answer->final());
    EXPECT_EQ(answer->segment(), 0U);
    const v1::Transcript& interim = answer->transcript();
    EXPECT_EQ(interim.text().substr(0, shown.size()), shown);
    EXPECT_GT(interim.text().size(), shown.size());
    EXPECT_GT(interim.words_size(), 0);
    EXPECT_GT(interim.confidence(), 0);
    EXPECT_EQ(interim.model(), "tiny.en");
    shown = interim.text();
  }
  EXPECT_EQ(shown.substr(0, 6), "And so");
  const v1::StreamingResponse& last = answers.back();
  EXPECT_TRUE(last.final());
  ASSERT_TRUE(call(request_of(speech())).ok());
  EXPECT_EQ(last.transcript().text(), transcript_.text());
  ASSERT_EQ(last.transcript().words_size(), transcript_.words_size());
  for (int i = 0; i < transcript_.words_size(); ++i) {
    EXPECT_EQ(last.transcript().words(i).end_ms(), transcript_.words(i).end_ms());
  }
}

TEST_F(StreamTest, AnswersSegmentsInTheirOrderAndTheOpenOneAtHalfClose) {
  serve({2, 8, 1, 60s});
  const std::vector<std::string> said{seconds_of_speech(0, 3), "", seconds_of_speech(3, 5), seconds_of_speech(8, 11)};
  Stream stream(*stub_);
  stream.write(format(kNoInterims));
  for (const std::string& segment : said) {
    stream.say(segment);
    if (&segment != &said.back()) stream.write(end_of_segment());
  }
  stream.done();
  EXPECT_TRUE(stream.wait().ok());
  ASSERT_EQ(stream.answers().size(), said.size());
  for (std::size_t i = 0; i < said.size(); ++i) {
    EXPECT_TRUE(stream.answers()[i].final());
    EXPECT_EQ(stream.answers()[i].segment(), i);
    EXPECT_EQ(stream.answers()[i].transcript().text(), text_of(said[i]));
  }
}

TEST_F(StreamTest, AStreamThatSaysNothingEndsWell) {
  Stream stream(*stub_);
  stream.write(format());
  stream.done();
  EXPECT_TRUE(stream.wait().ok());
  EXPECT_TRUE(stream.answers().empty());
}

TEST_F(StreamTest, SaysWhatIsWrongWithTheOrderOfMessages) {
  auto wrong_rate = format();
  wrong_rate.mutable_format()->set_sample_rate_hz(44100);
  const std::vector<std::pair<std::vector<v1::StreamingRequest>, std::string>> wrong{
      {{audio("ab")}, "first message of a stream gives the format"},
      {{end_of_segment()}, "first message of a stream gives the format"},
      {{format(), format()}, "format was given before"},
      {{wrong_rate}, "it is 44100"},
      {{format(), audio("abc")}, "has 3 bytes"},
      {{format(), end_of_segment(false)}, "end_of_segment must be true"},
      {{format(), v1::StreamingRequest()}, "neither format nor audio"},
  };
  for (const auto& [requests, message] : wrong) {
    Stream stream(*stub_);
    for (const auto& request : requests) stream.write(request);
    const grpc::Status status = stream.wait();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << message;
    EXPECT_NE(status.error_message().find(message), std::string::npos) << status.error_message();
  }
}

TEST_F(StreamTest, RefusesASegmentWithoutAnEndButAnswersThoseBeforeIt) {
  Stream stream(*stub_);
  stream.write(format(kNoInterims));
  stream.say(seconds_of_speech(0, 2));
  stream.write(end_of_segment());
  for (int second = 0; second < 31; ++second) stream.write(audio(std::string(kBytesPerSecond, '\0')));
  const grpc::Status status = stream.wait();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_NE(status.error_message().find("segment 1 is longer than 30 s"), std::string::npos) << status.error_message();
  ASSERT_EQ(stream.answers().size(), 1U);
  EXPECT_TRUE(stream.answers()[0].final());
}

TEST_F(StreamTest, FinalsAreServedWhileInterimsAreDropped) {
  serve({1, 4, 1, 60s});
  std::atomic<bool> over{false};
  std::vector<std::thread> speakers;
  std::atomic<int> finals{0};
  for (int i = 0; i < 8; ++i) {
    speakers.emplace_back([&] {
      Stream stream(*stub_);
      stream.write(format(200));
      while (!over) stream.say(std::string(kPiece, '\0'), 20ms);
      stream.cancel();
      stream.wait();
    });
  }
  for (int i = 0; i < 6; ++i) {
    Stream stream(*stub_);
    stream.write(format(kNoInterims));
    stream.say(seconds_of_speech(0, 2));
    stream.done();
    EXPECT_TRUE(stream.wait().ok());
    EXPECT_TRUE(call(request_of(seconds_of_speech(3, 5))).ok());
    finals += stream.answers().size() == 1 ? 2 : 0;
  }
  over = true;
  for (auto& speaker : speakers) speaker.join();
  EXPECT_EQ(finals, 12);
  const MetricsEndpoint endpoint("127.0.0.1:0", service_->metrics());
  EXPECT_FALSE(has_line(scrape(endpoint.port()), "stt_interims_dropped_total 0"));
}

TEST_F(StreamTest, AFinalThatIsRefusedEndsTheStreamAndSaysWhenToRetry) {
  serve({1, 0, 1, 600s});
  const auto request = minutes_of_speech();
  grpc::ClientContext busy;
  std::thread client([&] {
    v1::Transcript transcript;
    stub_->Transcribe(&busy, request, &transcript);
  });
  std::this_thread::sleep_for(500ms);
  Stream stream(*stub_);
  stream.write(format());
  stream.say(seconds_of_speech(0, 2));  // with interims, whose refusal is silent
  stream.write(end_of_segment());
  EXPECT_EQ(stream.wait().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(stream.says_when_to_retry());
  EXPECT_TRUE(stream.answers().empty());
  busy.TryCancel();
  client.join();
}

TEST_F(StreamTest, CancelAndDeadlineEndAStreamHalfWay) {
  {
    Stream stream(*stub_);
    stream.write(format(200));
    stream.say(seconds_of_speech(0, 5));
    stream.write(end_of_segment());
    stream.say(seconds_of_speech(5, 8));
    stream.cancel();
    EXPECT_EQ(stream.wait().error_code(), grpc::StatusCode::CANCELLED);
  }
  {
    Stream stream(*stub_, 300ms);
    stream.write(format(200));
    stream.say(seconds_of_speech(0, 5));
    EXPECT_EQ(stream.wait().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  }
  EXPECT_EQ(text_of(speech()).substr(0, 6), "And so");
}

TEST_F(StreamTest, ShutDownLetsOpenSegmentsEnd) {
  Stream idle(*stub_);
  idle.write(format());
  Stream speaks(*stub_);
  speaks.write(format(kNoInterims));
  speaks.say(seconds_of_speech(0, 2));
  std::this_thread::sleep_for(300ms);
  auto down = std::async(std::launch::async, [&] { service_->shut_down(*server_, 60s); });
  EXPECT_EQ(idle.wait().error_code(), grpc::StatusCode::UNAVAILABLE);
  speaks.say(seconds_of_speech(2, 3));
  speaks.write(end_of_segment());
  EXPECT_EQ(speaks.wait().error_code(), grpc::StatusCode::UNAVAILABLE);
  ASSERT_EQ(speaks.answers().size(), 1U);
  EXPECT_TRUE(speaks.answers()[0].final());
  EXPECT_EQ(down.wait_for(20s), std::future_status::ready);
}

TEST_F(StreamTest, ShutDownWaitsNoLongerThanItMay) {
  Stream stream(*stub_);
  stream.write(format());
  stream.say(seconds_of_speech(0, 1));
  std::this_thread::sleep_for(300ms);
  const auto began = Clock::now();
  service_->shut_down(*server_, 1s);
  EXPECT_LT(Clock::now() - began, 10s);  // one run of the encoder more at most, on a busy machine too
  EXPECT_EQ(stream.wait().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(StreamTest, SixtyFourAtOnceOfWhichAThirdCancel) {
  serve({2, 64, 1, 600s});
  const std::string said = seconds_of_speech(0, 1);
  std::atomic<int> ended{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 64; ++i) {
    clients.emplace_back([&, i] {
      Stream stream(*stub_);
      stream.write(format(200));
      stream.say(said, 10ms);
      if (i % 3 == 0) {
        std::this_thread::sleep_for(std::chrono::milliseconds(i * 10));
        stream.cancel();
      } else {
        stream.write(end_of_segment());
      }
      stream.done();
      const auto status = stream.wait();
      if (i % 3 == 0) {
        EXPECT_EQ(status.error_code(), grpc::StatusCode::CANCELLED);
      } else {
        EXPECT_TRUE(status.ok()) << status.error_message();
        EXPECT_TRUE(!stream.answers().empty() && stream.answers().back().final());
      }
      ++ended;
    });
  }
  for (auto& client : clients) client.join();
  EXPECT_EQ(ended, 64);
}

}  // namespace
}  // namespace voicestream::stt
