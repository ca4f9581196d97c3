#include "log_mel.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "audio.h"
#include "speech.h"
#include "whisper_mel.h"

namespace voicestream::stt {
namespace {

constexpr float kTolerance = 1e-4F;

void expect_same_as_whisper(const std::vector<float>& samples) {
  const Spectrogram theirs = whisper_mel(STT_TEST_MODEL, samples);
  const LogMel log_mel(static_cast<int>(theirs.rows()));
  const Spectrogram ours = log_mel(samples, static_cast<int>(theirs.cols()));
  const float largest = (ours - theirs).abs().maxCoeff();
  testing::Test::RecordProperty("largest_difference", std::to_string(largest));
  EXPECT_LE(largest, kTolerance);
}

TEST(LogMel, IsWhispersOnSpeech) {
  SKIP_WITHOUT_MODEL();
  expect_same_as_whisper(decode_pcm16(speech()));
}

TEST(LogMel, IsWhispersOnTelephoneSpeech) {
  SKIP_WITHOUT_MODEL();
  const auto wide = decode_pcm16(speech());
  std::vector<float> narrow(wide.size() / 2);
  for (std::size_t i = 0; i < narrow.size(); ++i) {
    narrow[i] = (wide[2 * i] + wide[2 * i + 1]) / 2;
  }
  expect_same_as_whisper(upsample_by_two(narrow));
}

TEST(LogMel, IsWhispersOnNoiseOfAnyLength) {
  SKIP_WITHOUT_MODEL();
  std::mt19937 random(1);
  std::normal_distribution<float> noise(0, 0.01F);
  for (const int length : {201, 1600, 7999, 8000, 48037}) {
    std::vector<float> samples(length);
    for (float& sample : samples) {
      sample = noise(random);
    }
    SCOPED_TRACE(length);
    expect_same_as_whisper(samples);
  }
}

TEST(LogMel, IsWhispersOnSilence) {
  SKIP_WITHOUT_MODEL();
  expect_same_as_whisper(std::vector<float>(16000));
}

TEST(LogMel, FramesBeyondTheSamplesAreSilent) {
  std::vector<float> samples(8000);
  for (std::size_t i = 0; i < samples.size(); ++i) {
    samples[i] = std::sin(0.3F * static_cast<float>(i));
  }
  const Spectrogram mel = LogMel(80)(samples, 1024);
  EXPECT_EQ(mel.cols(), 1024);
  EXPECT_FLOAT_EQ(mel.rightCols(900).maxCoeff(), mel.minCoeff());
  EXPECT_NEAR(mel.maxCoeff() - mel.minCoeff(), 2, 1e-5);
}

}  // namespace
}  // namespace voicestream::stt
