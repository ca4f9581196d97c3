#include "words.h"

#include <gtest/gtest.h>

namespace voicestream::stt {
namespace {

std::vector<std::string> texts(const std::vector<Word>& words) {
  std::vector<std::string> out;
  for (const Word& word : words) {
    out.push_back(word.text);
  }
  return out;
}

TEST(Words, BeginAtASpaceAndKeepTheirPunctuation) {
  const auto words = words_of({{" Hel", 200, 0.5F}, {"lo", 400, 1}, {",", 450, 0.1F}, {" you", 700, 0.9F}}, 1000, true);
  EXPECT_EQ(texts(words), (std::vector<std::string>{"Hello,", "you"}));
  EXPECT_EQ(words[0].end_ms, 400);
  EXPECT_FLOAT_EQ(words[0].confidence, 0.75F);
  EXPECT_EQ(words[1].start_ms, 400);
}

TEST(Words, ASpacedDashBelongsToTheWordBefore) {
  EXPECT_EQ(texts(words_of({{" yes", 100, 1}, {" -", 150, 1}, {" no", 300, 1}}, 1000, true)),
            (std::vector<std::string>{"yes -", "no"}));
}

TEST(Words, AreNotDrawledOverAPause) {
  const auto words = words_of({{" I", 100, 1}, {" am", 5000, 1}}, 6000, true);
  EXPECT_EQ(words[1].start_ms, 5000 - 200 - 2 * 80);
}

TEST(Words, StayInOrderAndInsideTheSegment) {
  const auto words = words_of({{" one", 900, 1}, {" two", 300, 1}, {" three", 1500, 1}}, 1000, true);
  for (std::size_t i = 0; i < words.size(); ++i) {
    EXPECT_LE(words[i].start_ms, words[i].end_ms);
    EXPECT_LE(words[i].end_ms, 1000);
    EXPECT_GE(words[i].start_ms, i == 0 ? 0 : words[i - 1].end_ms);
  }
}

TEST(Words, WithoutSpacesBeginAtWholeCharacters) {
  const std::string you = "\u4f60";
  const auto words = words_of({{you.substr(0, 2), 100, 1}, {you.substr(2), 200, 1}, {"\u597d", 300, 1}}, 1000, false);
  EXPECT_EQ(texts(words), (std::vector<std::string>{"\u4f60", "\u597d"}));
}

TEST(Words, LoseACharacterThatWasCutOff) {
  EXPECT_EQ(clean(" caf\xC3"), "caf");
  EXPECT_EQ(clean(" caf\xC3\xA9 "), "caf\u00e9");
  EXPECT_EQ(clean("\xA9"), "");
  EXPECT_TRUE(words_of({{" \xC3", 100, 1}}, 1000, true).empty());
}

TEST(Words, NoneFromNothing) { EXPECT_TRUE(words_of({}, 1000, true).empty()); }

}  // namespace
}  // namespace voicestream::stt
