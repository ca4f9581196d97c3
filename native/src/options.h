// The command line.
#pragma once

#include <chrono>
#include <stdexcept>
#include <string>

#include "service.h"

namespace voicestream::stt {

struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Options {
  std::string model;
  std::string listen = "127.0.0.1:50051";
  std::string metrics;  // HOST:PORT; empty: none
  Limits limits{1, 8, 1, std::chrono::seconds(30)};
  std::chrono::milliseconds drain = std::chrono::seconds(10);
  bool gpu = true;
  bool help = false;
};

// Raises UsageError, which says what is wrong.
Options parse(int argc, char** argv);

extern const char* const kHelp;

}  // namespace voicestream::stt
