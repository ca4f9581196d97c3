#include "audio.h"

#include <gtest/gtest.h>

#include <cmath>

namespace voicestream::stt {
namespace {

using std::string_literals::operator""s;

TEST(Audio, Pcm16IsLittleEndianAndSigned) {
  EXPECT_EQ(decode_pcm16("\x00\x40\x00\x80\x00\x00"s), (std::vector<float>{0.5F, -1.0F, 0.0F}));
}

TEST(Audio, AnOddByteIsLeftOut) { EXPECT_EQ(decode_pcm16("\x00\x40\x01"s).size(), 1U); }

TEST(Audio, MulawFollowsG711) {
  const auto samples = decode_mulaw("\x00\x80\x7F\xFF\x8F"s);
  EXPECT_FLOAT_EQ(samples[0], -32124 / 32768.0F);
  EXPECT_FLOAT_EQ(samples[1], 32124 / 32768.0F);
  EXPECT_FLOAT_EQ(samples[2], 0);
  EXPECT_FLOAT_EQ(samples[3], 0);
  EXPECT_FLOAT_EQ(samples[4], 16764 / 32768.0F);
}

class Upsampling : public testing::TestWithParam<int> {};

TEST_P(Upsampling, KeepsAToneOfTheTelephoneBand) {
  const double step = 2 * M_PI * GetParam() / 8000;
  std::vector<float> tone(800);
  for (std::size_t i = 0; i < tone.size(); ++i) {
    tone[i] = static_cast<float>(std::sin(step * static_cast<double>(i)));
  }
  const auto doubled = upsample_by_two(tone);
  ASSERT_EQ(doubled.size(), 2 * tone.size());
  for (std::size_t i = 100; i < doubled.size() - 100; ++i) {  // at the ends half of the filter sees silence
    EXPECT_NEAR(doubled[i], std::sin(step * static_cast<double>(i) / 2), 0.01) << "sample " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Hz, Upsampling, testing::Values(100, 1000, 3400));

TEST(Audio, NothingStaysNothing) { EXPECT_TRUE(upsample_by_two({}).empty()); }

}  // namespace
}  // namespace voicestream::stt
