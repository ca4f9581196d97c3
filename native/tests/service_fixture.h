// The service behind a real server on the loopback interface, with the real model.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <string>
#include <thread>

#include "audio.h"
#include "service.h"
#include "speech.h"

namespace voicestream::stt {

constexpr std::size_t kBytesPerSecond = 2 * kRate;

inline v1::TranscribeRequest request_of(std::string audio, v1::Encoding encoding = v1::PCM16, unsigned rate = kRate) {
  v1::TranscribeRequest request;
  request.mutable_format()->set_encoding(encoding);
  request.mutable_format()->set_sample_rate_hz(rate);
  request.set_audio(std::move(audio));
  return request;
}

// G.711 by search: the code whose value is nearest.
inline std::string mulaw_at_8khz(const std::string& pcm) {
  std::string codes(256, '\0');
  for (int code = 0; code < 256; ++code) codes[code] = static_cast<char>(code);
  const auto values = decode_mulaw(codes);
  const auto samples = decode_pcm16(pcm);
  std::string audio;
  for (std::size_t i = 0; i + 1 < samples.size(); i += 2) {
    const float sample = (samples[i] + samples[i + 1]) / 2;
    const auto nearest = std::min_element(
        values.begin(), values.end(), [&](float a, float b) { return std::abs(a - sample) < std::abs(b - sample); });
    audio.push_back(codes[nearest - values.begin()]);
  }
  return audio;
}

// Five minutes, at 8 kHz: whisper.cpp computes them in ten steps or more, and a run can be ended between two.
inline v1::TranscribeRequest minutes_of_speech() {
  const std::string once = mulaw_at_8khz(speech());
  std::string audio;
  while (audio.size() < 5 * 60 * 8000) audio += once;
  return request_of(audio, v1::MULAW, 8000);
}

class ServiceTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (have_model()) {
      whisper_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
      model_ = new Model(STT_TEST_MODEL, false);
    }
  }
  static void TearDownTestSuite() {
    delete model_;
    model_ = nullptr;
  }

  void SetUp() override {
    SKIP_WITHOUT_MODEL();
    serve({1, 4, 1, std::chrono::seconds(60)});
  }

  void TearDown() override { stop(); }

  void serve(const Limits& limits) {
    stop();
    service_ = std::make_unique<Service>(*model_, limits);
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(service_.get());
    server_ = builder.BuildAndStart();
    stub_ = v1::SpeechToText::NewStub(
        grpc::CreateChannel("127.0.0.1:" + std::to_string(port), grpc::InsecureChannelCredentials()));
  }

  void stop() {
    if (server_) {
      service_->shut_down(*server_, std::chrono::milliseconds(0));
    }
    server_.reset();
    service_.reset();
  }

  grpc::Status call(const v1::TranscribeRequest& request) {
    grpc::ClientContext context;
    return stub_->Transcribe(&context, request, &transcript_);
  }

  // Returns when a worker has a request.
  void wait_until_busy() {
    const auto is_busy = [](const prometheus::MetricFamily& family) {
      return family.name == "stt_busy_workers" && family.metric[0].gauge.value > 0;
    };
    for (bool busy = false; !busy; std::this_thread::sleep_for(std::chrono::milliseconds(1))) {
      const auto families = service_->metrics()->Collect();
      busy = std::any_of(families.begin(), families.end(), is_busy);
    }
  }

  static inline Model* model_ = nullptr;
  std::unique_ptr<Service> service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::SpeechToText::Stub> stub_;
  v1::Transcript transcript_;
};

}  // namespace voicestream::stt
