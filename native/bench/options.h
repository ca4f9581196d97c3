// The command line of the benchmark.
#pragma once

#include <string>
#include <vector>

namespace voicestream::stt {

struct BenchOptions {
  std::string model;
  std::vector<double> lengths_s{1, 2, 3, 5, 10};
  std::vector<int> concurrent{1, 2, 4, 8, 16, 32, 64, 128, 256, 512};
  int workers = 8;
  int threads = 1;
  double seconds = 5;
  bool gpu = true;
  bool texts = false;
  std::vector<std::string> recordings;
};

// Ends the process with a message where the command line is wrong, or --help is asked for.
BenchOptions parse_bench(int argc, char** argv);

}  // namespace voicestream::stt
