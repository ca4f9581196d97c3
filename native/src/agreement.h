// The words of a growing segment that are certain enough to be shown.
//
// LocalAgreement-2: what two passes over the segment, of which the second heard more, begin with in common. D.
// Macháček, R. Dabre, O. Bojar, "Turning Whisper into Real-Time Transcription System", IJCNLP-AACL 2023, system
// demonstrations.
#pragma once

#include <string>
#include <vector>

#include "words.h"

namespace voicestream::stt {

class Agreement {
 public:
  // Takes the words of a new pass over all of the segment. True when there is more to show than before.
  bool add(const std::vector<Word>& words);

  // What is agreed on. What was shown stays: it only gets longer, also as text. Where a later pass takes back a word
  // that was shown, the words that are said after it are added. The last word has no punctuation after it as yet, since
  // that changes with what follows.
  const std::vector<Word>& words() const { return shown_; }

 private:
  std::vector<Word> shown_;
  std::vector<Word> previous_;  // the pass before
};

// Words as a text, with a blank between them or without.
std::string joined(const std::vector<Word>& words, bool spaced);

}  // namespace voicestream::stt
