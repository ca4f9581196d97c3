#include "options.h"

#include <getopt.h>

#include <cstdio>
#include <cstdlib>
#include <sstream>

namespace voicestream::stt {
namespace {

constexpr auto kHelp = R"(stt_bench - latency and throughput of whisper.cpp behind the server's scheduler, without gRPC

  stt_bench --model ggml-tiny.en.bin speech.wav ...

For each length and each number of concurrent segments, that many segments are always waiting or being computed; a
segment that is done is followed by the next. Latency is from its arrival until its transcript, with its wait for a
worker. Prints a table in Markdown, after a line that names the device.

  --model FILE       a Whisper model in whisper.cpp's ggml format (required)
  --lengths LIST     of the segments in seconds (1,2,3,5,10)
  --concurrent LIST  segments at the same time (1,2,4,8,16,32,64,128,256,512)
  --workers N        segments that are computed at the same time (8); on processors, one for each
  --threads N        processor threads for each worker (1)
  --seconds S        for each row of the table (5)
  --texts            print what is said in each recording instead, as FILE<tab>TEXT
  --no-gpu           use the processor, even if this was built for a GPU
  --help             print this

The recordings are WAV files with one channel of PCM16 at 8000 or 16000 Hz.
)";

[[noreturn]] void refuse(const std::string& what) {
  std::fprintf(stderr, "stt_bench: %s; --help tells more\n", what.c_str());
  std::exit(2);
}

template <typename Number>
std::vector<Number> numbers(const char* name, const char* text) {
  std::vector<Number> found;
  std::stringstream list(text);
  for (std::string one; std::getline(list, one, ',');) {
    std::stringstream number(one);
    Number value{};
    if (!(number >> value) || !number.eof() || value <= 0) {
      refuse(std::string("--") + name + " takes numbers above 0, not \"" + text + "\"");
    }
    found.push_back(value);
  }
  if (found.empty()) {
    refuse(std::string("--") + name + " takes a number");
  }
  return found;
}

}  // namespace

BenchOptions parse_bench(int argc, char** argv) {
  enum { kModel = 1, kLengths, kConcurrent, kWorkers, kThreads, kSeconds, kTexts, kNoGpu, kHelpAsked };
  const option known[] = {{"model", required_argument, nullptr, kModel},
                          {"lengths", required_argument, nullptr, kLengths},
                          {"concurrent", required_argument, nullptr, kConcurrent},
                          {"workers", required_argument, nullptr, kWorkers},
                          {"threads", required_argument, nullptr, kThreads},
                          {"seconds", required_argument, nullptr, kSeconds},
                          {"texts", no_argument, nullptr, kTexts},
                          {"no-gpu", no_argument, nullptr, kNoGpu},
                          {"help", no_argument, nullptr, kHelpAsked},
                          {nullptr, 0, nullptr, 0}};
  BenchOptions options;
  int index = 0;
  for (int found = 0; (found = getopt_long(argc, argv, "", known, &index)) != -1;) {
    switch (found) {
      case kModel:
        options.model = optarg;
        break;
      case kLengths:
        options.lengths_s = numbers<double>("lengths", optarg);
        break;
      case kConcurrent:
        options.concurrent = numbers<int>("concurrent", optarg);
        break;
      case kWorkers:
        options.workers = numbers<int>("workers", optarg).front();
        break;
      case kThreads:
        options.threads = numbers<int>("threads", optarg).front();
        break;
      case kSeconds:
        options.seconds = numbers<double>("seconds", optarg).front();
        break;
      case kTexts:
        options.texts = true;
        break;
      case kNoGpu:
        options.gpu = false;
        break;
      case kHelpAsked:
        std::fputs(kHelp, stdout);
        std::exit(0);
      default:
        std::exit(2);  // getopt has said why
    }
  }
  options.recordings.assign(argv + optind, argv + argc);
  if (options.model.empty() || options.recordings.empty()) {
    refuse("give --model FILE and recordings");
  }
  return options;
}

}  // namespace voicestream::stt
