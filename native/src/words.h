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

// Tokens joined to words, with times in order and within [0, duration_ms]: the rules of
// voicestream.stt.whisper.words_of. `spaced` tells that the language is written with spaces between its words.
std::vector<Word> words_of(const std::vector<Token>& tokens, int duration_ms, bool spaced);

// Without blanks at either end, and without the bytes of a character that was cut off.
std::string clean(const std::string& text);

}  // namespace voicestream::stt
