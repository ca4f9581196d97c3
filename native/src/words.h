// Words from the tokens of a model.
#pragma once

#include <string>
#include <vector>

namespace voicestream::stt {

// A piece of text in UTF-8, which may end within a character, and when it was over.
struct Token {
  std::string text;
  int end_ms;
  float probability;
};

// Times are in milliseconds from the start of the segment.
struct Word {
  std::string text;
  int start_ms;
  int end_ms;
  float confidence;
};

// Whether the language is written with spaces between its words.
bool is_spaced(const std::string& language);

// Tokens joined to words, with times in order and within [0, duration_ms]: the rules of
// voicestream.stt.whisper.words_of. `spaced` tells that the language is written with spaces between its words.
std::vector<Word> words_of(const std::vector<Token>& tokens, int duration_ms, bool spaced);

// 0 where there are none.
float mean_confidence(const std::vector<Word>& words);

// Without blanks at either end, and without the bytes of a character that was cut off.
std::string clean(const std::string& text);

}  // namespace voicestream::stt
