// Real speech and a real model, where they are.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace voicestream::stt {

inline bool have_model() { return std::filesystem::exists(STT_TEST_MODEL); }

#define SKIP_WITHOUT_MODEL() \
  if (!have_model()) GTEST_SKIP() << "no model " STT_TEST_MODEL ": run `voicestream models pull tiny.en`"

// "And so, my fellow Americans, ask not what your country can do for you, ask what you can do for your country":
// 11 s of PCM16 at 16 kHz.
inline std::string speech() {
  std::ifstream file(STT_TEST_SPEECH, std::ios::binary);
  const std::string wav{std::istreambuf_iterator<char>(file), {}};
  return wav.substr(wav.find("data") + 8);
}

}  // namespace voicestream::stt
