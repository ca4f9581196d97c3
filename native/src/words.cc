#include "words.h"

#include <algorithm>
#include <cstddef>
#include <set>

namespace voicestream::stt {
namespace {

constexpr int kLongestWordMs = 200;  // and for each letter:
constexpr int kLongestLetterMs = 80;

bool continues_character(char byte) { return (byte & 0xC0) == 0x80; }

std::size_t length_of_character(char lead) {
  const auto byte = static_cast<unsigned char>(lead);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

// Where the last character begins, if bytes of it are missing; else the length of the text.
std::size_t end_of_whole_characters(const std::string& text) {
  std::size_t start = text.size();
  while (start > 0 && continues_character(text[start - 1])) {
    --start;
  }
  if (start == 0) {
    return 0;
  }
  --start;
  return start + length_of_character(text[start]) > text.size() ? start : text.size();
}

std::size_t characters(const std::string& text) {
  return text.size() - static_cast<std::size_t>(std::count_if(text.begin(), text.end(), continues_character));
}

// Letters and digits. What is beyond ASCII counts as a letter: for punctuation there, such as a dash, that is wrong,
// and makes a word of it only where a space stands before it.
bool has_letter(const std::string& text) {
  return std::any_of(text.begin(), text.end(), [](char byte) {
    return (byte & 0x80) != 0 || (byte >= '0' && byte <= '9') || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z');
  });
}

bool is_spoken(const Token& token) {
  return std::any_of(token.text.begin(), token.text.end(),
                     [](char byte) { return static_cast<unsigned char>(byte) >= '0'; });
}

using Group = std::vector<const Token*>;

std::string text_of(const Group& group) {
  std::string text;
  for (const Token* token : group) {
    text += token->text;
  }
  return text;
}

std::vector<Group> groups_of(const std::vector<Token>& tokens, bool spaced) {
  std::vector<Group> groups;
  for (const Token& token : tokens) {
    const auto begins = [&] {
      if (spaced) {
        return token.text.front() == ' ';
      }
      const std::string before = text_of(groups.back());
      return end_of_whole_characters(before) == before.size();
    };
    if (token.text.empty()) {
      continue;
    }
    if (groups.empty() || (begins() && has_letter(token.text))) {
      groups.emplace_back();
    }
    groups.back().push_back(&token);
  }
  return groups;
}

}  // namespace

std::string clean(const std::string& text) {
  const std::string whole = text.substr(0, end_of_whole_characters(text));
  const auto first = whole.find_first_not_of(" \t\n");
  return first == std::string::npos ? "" : whole.substr(first, whole.find_last_not_of(" \t\n") - first + 1);
}

bool is_spaced(const std::string& language) {
  static const std::set<std::string> kUnspaced{"zh", "ja", "th", "lo", "my", "yue"};
  return kUnspaced.count(language) == 0;
}

float mean_confidence(const std::vector<Word>& words) {
  float sum = 0;
  for (const Word& word : words) {
    sum += word.confidence;
  }
  return words.empty() ? 0 : sum / static_cast<float>(words.size());
}

std::vector<Word> words_of(const std::vector<Token>& tokens, int duration_ms, bool spaced) {
  std::vector<Word> words;
  for (const Group& group : groups_of(tokens, spaced)) {
    const std::string text = clean(text_of(group));
    if (text.empty()) {
      continue;
    }
    Group spoken;
    std::copy_if(group.begin(), group.end(), std::back_inserter(spoken),
                 [](const Token* one) { return is_spoken(*one); });
    if (spoken.empty()) {
      spoken = group;
    }
    // A word starts where the one before it ended, but is not drawled: a pause belongs to neither.
    const int previous_end = words.empty() ? 0 : words.back().end_ms;
    const int end = std::min(std::max(spoken.back()->end_ms, previous_end), duration_ms);
    const int longest = kLongestWordMs + kLongestLetterMs * static_cast<int>(characters(text));
    float sum = 0;
    for (const Token* token : spoken) {
      sum += token->probability;
    }
    const float confidence = std::clamp(sum / static_cast<float>(spoken.size()), 0.0F, 1.0F);
    words.push_back({text, std::max(previous_end, end - longest), end, confidence});
  }
  return words;
}

}  // namespace voicestream::stt
