#include "agreement.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <string_view>

namespace voicestream::stt {
namespace {

// Marks that come and go with what follows a word. Signs that are spoken, such as the one for per cent, are none.
constexpr std::array<std::string_view, 33> kPunctuation{".", ",", "!",  "?",  ";",  ":",  "-",  "\"", "'",  "(",  ")",
                                                        "[", "]", "…",  "–",  "—",  "‘",  "’",  "“",  "”",  "«",  "»",
                                                        "¿", "¡", "。", "、", "「", "」", "，", "！", "？", "：", "；"};

// How many bytes of punctuation stand there.
std::size_t punctuation_at(const std::string& text, std::size_t at) {
  const auto* const found = std::find_if(kPunctuation.begin(), kPunctuation.end(), [&](std::string_view mark) {
    return text.compare(at, mark.size(), mark) == 0;
  });
  return found == kPunctuation.end() ? 0 : found->size();
}

// Without punctuation and, in ASCII, without case.
std::string key_of(const Word& word) {
  std::string key;
  for (std::size_t at = 0; at < word.text.size();) {
    if (const std::size_t skipped = punctuation_at(word.text, at); skipped != 0) {
      at += skipped;
    } else {
      key += static_cast<char>(std::tolower(static_cast<unsigned char>(word.text[at++])));
    }
  }
  return key;
}

std::size_t agreed(const std::vector<Word>& one, const std::vector<Word>& other) {
  const auto [end, _] = std::mismatch(one.begin(), one.end(), other.begin(), other.end(),
                                      [](const Word& a, const Word& b) { return key_of(a) == key_of(b); });
  return static_cast<std::size_t>(end - one.begin());
}

// A mark that stands alone, as in languages that are written without blanks, goes to the word before it.
std::vector<Word> with_their_marks(const std::vector<Word>& words) {
  std::vector<Word> whole;
  for (const Word& word : words) {
    if (!whole.empty() && key_of(word).empty()) {
      whole.back().text += word.text;
    } else {
      whole.push_back(word);
    }
  }
  return whole;
}

// Without the punctuation at its end.
std::string bare(const std::string& text) {
  std::size_t end = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t skipped = punctuation_at(text, at);
    at += std::max<std::size_t>(skipped, 1);
    end = skipped == 0 ? at : end;
  }
  return text.substr(0, end);
}

}  // namespace

bool Agreement::add(const std::vector<Word>& words) {
  const std::vector<Word> pass = with_their_marks(words);
  const std::size_t certain = agreed(previous_, pass);
  previous_ = pass;
  const bool keeps = agreed(shown_, pass) == shown_.size();
  std::size_t from = shown_.size();
  if (!keeps) {
    const int shown_until = shown_.back().end_ms;
    const auto later = std::find_if(pass.begin(), pass.end(),
                                    [&](const Word& word) { return (word.start_ms + word.end_ms) / 2 > shown_until; });
    from = static_cast<std::size_t>(later - pass.begin());
  }
  if (from >= certain || key_of(pass[certain - 1]).empty()) {
    return false;
  }
  if (keeps && from > 0 && bare(pass[from - 1].text) == shown_.back().text) {
    shown_.back().text = pass[from - 1].text;  // now that a word follows it
  }
  shown_.insert(shown_.end(), pass.begin() + static_cast<std::ptrdiff_t>(from),
                pass.begin() + static_cast<std::ptrdiff_t>(certain));
  shown_.back().text = bare(shown_.back().text);
  return true;
}

std::string joined(const std::vector<Word>& words, bool spaced) {
  std::string text;
  for (const Word& word : words) {
    text += (text.empty() || !spaced ? "" : " ") + word.text;
  }
  return text;
}

}  // namespace voicestream::stt
