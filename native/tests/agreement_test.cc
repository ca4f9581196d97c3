#include "agreement.h"

#include <gtest/gtest.h>

#include <random>
#include <sstream>

namespace voicestream::stt {
namespace {

// Words of 300 ms, one after the other.
std::vector<Word> words(const std::string& text, int start_ms = 0) {
  std::vector<Word> found;
  std::istringstream stream(text);
  for (std::string word; stream >> word; start_ms += 300) {
    found.push_back({word, start_ms, start_ms + 300, 0.9F});
  }
  return found;
}

std::string shown(const Agreement& agreement) { return joined(agreement.words(), true); }

TEST(Agreement, ShowsWhatTwoPassesBeginWithInCommon) {
  Agreement agreement;
  EXPECT_FALSE(agreement.add(words("ask not what you")));
  EXPECT_EQ(shown(agreement), "");
  EXPECT_TRUE(agreement.add(words("ask not what your country")));
  EXPECT_EQ(shown(agreement), "ask not what");
  EXPECT_TRUE(agreement.add(words("ask not what your country can do")));
  EXPECT_EQ(shown(agreement), "ask not what your country");
}

TEST(Agreement, ComparesWithoutPunctuationAndCase) {
  Agreement agreement;
  agreement.add(words("And so. My fellow Americans..."));
  EXPECT_TRUE(agreement.add(words("and so, my fellow \"Americans\" ask")));
  EXPECT_EQ(shown(agreement), "and so, my fellow \"Americans");
  EXPECT_TRUE(agreement.add(words("and so, my fellow \"Americans,\" ask not")));
  EXPECT_EQ(shown(agreement), "and so, my fellow \"Americans,\" ask");
}

TEST(Agreement, TakesSignsThatAreSpokenForWords) {
  Agreement agreement;
  agreement.add(words("ten 5%"));
  agreement.add(words("ten 5"));
  EXPECT_EQ(shown(agreement), "ten");
}

TEST(Agreement, HasNothingNewWhenNoMoreIsAgreedOn) {
  Agreement agreement;
  agreement.add(words("ask not"));
  EXPECT_TRUE(agreement.add(words("ask not.")));
  EXPECT_FALSE(agreement.add(words("ask not, what")));
  EXPECT_FALSE(agreement.add({}));
  EXPECT_EQ(shown(agreement), "ask not");
}

TEST(Agreement, AddsPunctuationOnlyOnceAWordFollows) {
  Agreement agreement;
  agreement.add(words("my fellow Americans."));
  agreement.add(words("my fellow Americans."));
  EXPECT_EQ(shown(agreement), "my fellow Americans");
  agreement.add(words("my fellow Americans, ask"));
  EXPECT_EQ(shown(agreement), "my fellow Americans");
  agreement.add(words("my fellow Americans, ask not"));
  EXPECT_EQ(shown(agreement), "my fellow Americans, ask");
}

TEST(Agreement, KeepsWhatWasShownAndGoesOnAfterIt) {
  Agreement agreement;
  agreement.add(words("their country"));
  agreement.add(words("their country"));
  EXPECT_FALSE(agreement.add(words("there country can do")));
  EXPECT_TRUE(agreement.add(words("there country can do it")));
  EXPECT_EQ(shown(agreement), "their country can do");
}

TEST(Agreement, AWordThatIsPutInOrLeftOutRepeatsNoOther) {
  Agreement agreement;
  for (int i = 0; i < 2; ++i) agreement.add(words("so my fellow", 300));
  std::vector<Word> more = words("and so my fellow Americans");
  agreement.add(more);
  EXPECT_TRUE(agreement.add(more));
  EXPECT_EQ(shown(agreement), "so my fellow Americans");
  std::vector<Word> less = words("my fellow Americans ask", 600);
  agreement.add(less);
  EXPECT_TRUE(agreement.add(less));
  EXPECT_EQ(shown(agreement), "so my fellow Americans ask");
}

TEST(Agreement, MarksThatStandAloneBelongToTheWordBefore) {
  Agreement agreement;
  agreement.add({{"你", 0, 200, 1}, {"好", 200, 400, 1}, {"世", 400, 600, 1}});
  EXPECT_TRUE(agreement.add({{"你", 0, 200, 1}, {"好", 200, 400, 1}, {"，", 400, 400, 1}, {"世", 400, 600, 1}}));
  EXPECT_EQ(joined(agreement.words(), false), "你好，世");
}

TEST(Agreement, ShowsNoPunctuationByItself) {
  Agreement agreement;
  agreement.add(words("..."));
  EXPECT_FALSE(agreement.add(words("...")));
  EXPECT_TRUE(agreement.words().empty());
}

// Whatever the passes are: what is shown only grows, as text, and says so.
TEST(Agreement, IsMonotone) {
  const std::vector<std::string> vocabulary{"a", "A,", "b.", "b", "c", "...", "\"c\""};
  for (unsigned seed = 0; seed < 300; ++seed) {
    std::mt19937 random(seed);
    Agreement agreement;
    std::string before;
    int until = 0;
    for (unsigned length = 1; length < 20; ++length) {
      std::string text;
      // Now and then a pass that is short or differs much.
      const unsigned heard = random() % 5 == 0 ? random() % length : length;
      for (unsigned i = 0; i < heard; ++i) {
        const unsigned likely = random() % 10 == 0 ? random() : i * 7 / 3;
        text += vocabulary[likely % vocabulary.size()] + " ";
      }
      const bool more = agreement.add(words(text, static_cast<int>(random() % 100)));
      const std::string now = shown(agreement);
      ASSERT_EQ(now.substr(0, before.size()), before) << "seed " << seed;
      ASSERT_EQ(more, now.size() > before.size()) << "seed " << seed << ": " << before << " -> " << now;
      before = now;
      if (!agreement.words().empty()) {
        ASSERT_GE(agreement.words().back().end_ms, until);
        until = agreement.words().back().end_ms;
      }
    }
  }
}

}  // namespace
}  // namespace voicestream::stt
