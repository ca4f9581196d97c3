// stt_bench: how fast the server's scheduler and its workers are, with as many segments at once as there are callers.
#include <ggml-backend.h>
#include <sys/resource.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "audio.h"
#include "model.h"
#include "options.h"
#include "scheduler.h"
#include "wav.h"

namespace {

using namespace voicestream::stt;

using Samples = std::vector<float>;
using Seconds = std::chrono::duration<double>;

constexpr auto kNoDeadline = std::chrono::hours(1);

struct Row {
  double length_s;
  int concurrent;
  std::vector<double> latencies_ms;  // sorted
  double took_s;
  double processor_s;

  double percentile(double share) const {
    return latencies_ms[static_cast<std::size_t>(share * static_cast<double>(latencies_ms.size() - 1))];
  }
};

double processor_s() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) { return static_cast<double>(time.tv_sec) + time.tv_usec / 1e6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::vector<Samples> segments_of(const std::vector<Samples>& recordings, double length_s) {
  const auto length = static_cast<std::size_t>(length_s * kRate);
  std::vector<Samples> segments;
  for (const Samples& recording : recordings) {
    for (std::size_t start = 0; start + length <= recording.size(); start += length) {
      segments.emplace_back(recording.begin() + start, recording.begin() + start + length);
    }
  }
  return segments;
}

// Keeps a number of segments in the scheduler for a while.
class Load {
 public:
  Load(std::vector<std::unique_ptr<Recognizer>>& recognizers, const std::vector<Samples>& segments, int concurrent,
       double seconds)
      : recognizers_(recognizers),
        segments_(segments),
        ends_(Clock::now() + std::chrono::duration_cast<Clock::duration>(Seconds(seconds))),
        scheduler_(recognizers.size(), concurrent) {
    for (int i = 0; i < concurrent; ++i) {
      const std::lock_guard lock(mutex_);
      submit_next();
    }
  }

  // Milliseconds of each segment; raises what a segment raised.
  std::vector<double> latencies_ms() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return waiting_ == 0; });
    if (failure_) {
      std::rethrow_exception(failure_);
    }
    std::sort(latencies_ms_.begin(), latencies_ms_.end());
    return latencies_ms_;
  }

 private:
  class Segment final : public Job {
   public:
    Segment(Load& load, const Samples& samples) : Job(Clock::now() + kNoDeadline), load_(load), samples_(samples) {}

    void run(std::size_t worker) override {
      std::exception_ptr failure;
      try {
        load_.recognizers_[worker]->transcribe(samples_, "en", [] { return false; });
      } catch (const std::exception&) {
        failure = std::current_exception();
      }
      load_.done(std::chrono::duration<double, std::milli>(Clock::now() - arrived_).count(), failure);
    }
    void drop(Dropped) override {}  // only when the scheduler is stopped, and then nothing waits

   private:
    Load& load_;
    const Samples& samples_;
    const Clock::time_point arrived_ = Clock::now();
  };

  void submit_next() {
    ++waiting_;
    scheduler_.submit(std::make_shared<Segment>(*this, segments_[next_++ % segments_.size()]));
  }

  void done(double ms, const std::exception_ptr& failure) {
    const std::lock_guard lock(mutex_);
    latencies_ms_.push_back(ms);
    failure_ = failure ? failure : failure_;
    --waiting_;
    if (Clock::now() < ends_ && !failure_) {
      submit_next();
    }
    changed_.notify_one();
  }

  std::vector<std::unique_ptr<Recognizer>>& recognizers_;
  const std::vector<Samples>& segments_;
  const Clock::time_point ends_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<double> latencies_ms_;
  std::exception_ptr failure_;
  std::size_t next_ = 0;
  int waiting_ = 0;
  Scheduler scheduler_;  // the last member: its threads use the others
};

std::string device(bool gpu) {
  ggml_backend_dev_t found = gpu ? ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_GPU) : nullptr;
  found = found != nullptr ? found : ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
  return ggml_backend_dev_description(found);
}

void print_texts(Recognizer& recognizer, const BenchOptions& options, const std::vector<Samples>& recordings) {
  for (std::size_t i = 0; i < recordings.size(); ++i) {
    const Transcript heard = recognizer.transcribe(recordings[i], "en", [] { return false; });
    std::printf("%s\t%s\n", options.recordings[i].c_str(), heard.text.c_str());
  }
}

void print_table(std::vector<std::unique_ptr<Recognizer>>& recognizers, const BenchOptions& options,
                 const std::vector<Samples>& recordings) {
  std::puts(
      "\n| segment | concurrent | segments | median | 95th percentile | segments/s | real time | processor, one "
      "segment "
      "|\n|---|---|---|---|---|---|---|---|");
  for (const double length_s : options.lengths_s) {
    const std::vector<Samples> segments = segments_of(recordings, length_s);
    if (segments.empty()) {
      std::printf("| %g s | no recording is as long | | | | | | |\n", length_s);
      continue;
    }
    for (const int concurrent : options.concurrent) {
      const auto started = Clock::now();
      const double busy = processor_s();
      Row row{length_s, concurrent, Load(recognizers, segments, concurrent, options.seconds).latencies_ms(), 0, 0};
      row.took_s = Seconds(Clock::now() - started).count();
      row.processor_s = processor_s() - busy;
      const auto count = static_cast<double>(row.latencies_ms.size());
      std::printf("| %g s | %d | %.0f | %.0f ms | %.0f ms | %.1f | %.0f x | %.0f ms |\n", length_s, concurrent, count,
                  row.percentile(0.5), row.percentile(0.95), count / row.took_s, count * length_s / row.took_s,
                  row.processor_s / count * 1000);
      std::fflush(stdout);
    }
  }
}

int run(const BenchOptions& options) {
  std::vector<Samples> recordings;
  for (const std::string& path : options.recordings) {
    recordings.push_back(read_wav(path));
  }
  const Model model(options.model, options.gpu);
  std::vector<std::unique_ptr<Recognizer>> recognizers;
  for (int i = 0; i < options.workers; ++i) {
    recognizers.push_back(std::make_unique<Recognizer>(model, options.threads));
    recognizers.back()->transcribe(Samples(kRate), "en", [] { return false; });  // memory is allocated at the first use
  }
  if (options.texts) {
    print_texts(*recognizers.front(), options, recordings);
    return 0;
  }
  std::printf("%s, model %s, %d workers with %d threads\n", device(options.gpu).c_str(), model.name().c_str(),
              options.workers, options.threads);
  print_table(recognizers, options, recordings);
  return 0;
}

void log_whisper(ggml_log_level level, const char* text, void*) {
  if (level >= GGML_LOG_LEVEL_ERROR && level != GGML_LOG_LEVEL_CONT) {
    std::fputs(text, stderr);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const BenchOptions options = parse_bench(argc, argv);
  try {
    whisper_log_set(log_whisper, nullptr);
    return run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "stt_bench: %s\n", error.what());
    return 1;
  }
}
