#include "options.h"

#include <getopt.h>

#include <algorithm>
#include <array>
#include <thread>

namespace voicestream::stt {

const char* const kHelp = R"(stt_server - speech to text over gRPC, with whisper.cpp

  stt_server --model ggml-tiny.en.bin

Transcribes short segments of telephone speech, whole, or while they are spoken and then with interim results. The
interface is native/proto/stt.proto; the standard services for health and reflection are there too, so grpc_health_probe
and grpcurl work. There is no encryption: listen on a private address, or put a proxy in front.

  --model FILE       a Whisper model in whisper.cpp's ggml format (required); `voicestream models pull tiny.en`
                     downloads one and prints where it is
  --listen ADDRESS   where to listen, HOST:PORT or a port of 127.0.0.1 (127.0.0.1:50051); port 0 takes a free one and
                     prints it
  --metrics ADDRESS  serve Prometheus metrics on http://ADDRESS/metrics, which is given as for --listen (off)
  --workers N        segments that are transcribed at the same time; each takes some 30 to 150 MB of memory (one for
                     each processor)
  --threads N        processor threads for each worker (1); more make one segment faster and all together slower
  --queue N          requests that may wait for a worker (8 for each worker); more are refused with
                     RESOURCE_EXHAUSTED and a hint when to retry; interim ones take no more than half of it, and
                     leave it when a final one comes
  --longest-wait MS  the deadline of requests that bring none, and the longest that is granted (30000)
  --drain MS         after SIGTERM: how long requests that were accepted may still take, and streams until the segment
                     that is open has ended (10000)
  --no-gpu           use the processor, even if this was built for a GPU
  --help             print this

On SIGTERM or SIGINT the server tells health checks that it no longer serves, finishes what it has accepted, and exits
with 0. It exits with 2 when the command line is wrong and with 1 when it can't start.
)";

namespace {

int number(const char* option, const char* text, int lowest) {
  try {
    std::size_t used = 0;
    const int value = std::stoi(text, &used);
    if (text[used] == '\0' && value >= lowest) {
      return value;
    }
  } catch (const std::exception&) {  // not a number: said below
  }
  throw UsageError(std::string("--") + option + " takes a number from " + std::to_string(lowest) + ", not \"" + text +
                   "\"");
}

// HOST:PORT; a port alone is one of the loopback interface.
std::string address(const char* option, const std::string& text) {
  const std::size_t colon = text.rfind(':');
  const std::string host = colon == std::string::npos ? "127.0.0.1" : text.substr(0, colon);
  const std::string port = colon == std::string::npos ? text : text.substr(colon + 1);
  const bool is_number = !port.empty() && port.size() <= 5 &&
                         std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (host.empty() || !is_number || std::stoi(port) > 65535) {
    throw UsageError(std::string("--") + option + " takes HOST:PORT, or a port of 127.0.0.1, not \"" + text + "\"");
  }
  return host + ":" + port;
}

}  // namespace

Options parse(int argc, char** argv) {
  enum { kModel = 1, kListen, kMetrics, kWorkers, kThreads, kQueue, kLongestWait, kDrain, kNoGpu, kHelpAsked };
  constexpr std::array<option, 11> kOptions{{{"model", required_argument, nullptr, kModel},
                                             {"listen", required_argument, nullptr, kListen},
                                             {"metrics", required_argument, nullptr, kMetrics},
                                             {"workers", required_argument, nullptr, kWorkers},
                                             {"threads", required_argument, nullptr, kThreads},
                                             {"queue", required_argument, nullptr, kQueue},
                                             {"longest-wait", required_argument, nullptr, kLongestWait},
                                             {"drain", required_argument, nullptr, kDrain},
                                             {"no-gpu", no_argument, nullptr, kNoGpu},
                                             {"help", no_argument, nullptr, kHelpAsked},
                                             {nullptr, 0, nullptr, 0}}};
  Options options;
  int workers = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  int queue = -1;
  optind = 0;  // parse from the start, also when called again
  opterr = 0;
  int index = 0;
  for (int found = 0; (found = getopt_long(argc, argv, "", kOptions.data(), &index)) != -1;) {
    const char* name = found == '?' ? "" : kOptions.at(index).name;
    switch (found) {
      case kModel:
        options.model = optarg;
        break;
      case kListen:
        options.listen = address(name, optarg);
        break;
      case kMetrics:
        options.metrics = address(name, optarg);
        break;
      case kWorkers:
        workers = number(name, optarg, 1);
        break;
      case kThreads:
        options.limits.threads = number(name, optarg, 1);
        break;
      case kQueue:
        queue = number(name, optarg, 0);
        break;
      case kLongestWait:
        options.limits.longest_wait = std::chrono::milliseconds(number(name, optarg, 1));
        break;
      case kDrain:
        options.drain = std::chrono::milliseconds(number(name, optarg, 0));
        break;
      case kNoGpu:
        options.gpu = false;
        break;
      case kHelpAsked:
        options.help = true;
        return options;
      default:
        throw UsageError(std::string("unknown option, or one without its value: ") + argv[optind - 1]);
    }
  }
  if (optind < argc) {
    throw UsageError(std::string("nothing is known to do with \"") + argv[optind] + "\"");
  }
  if (options.model.empty()) {
    throw UsageError("--model FILE is missing");
  }
  options.limits.workers = static_cast<std::size_t>(workers);
  options.limits.queue = static_cast<std::size_t>(queue >= 0 ? queue : 8 * workers);
  return options;
}

}  // namespace voicestream::stt
