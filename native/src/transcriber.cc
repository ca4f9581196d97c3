#include "transcriber.h"

#include "audio.h"
#include "transcription.h"

namespace voicestream::stt {

Transcriber::Transcriber(const Model& model, const Limits& limits)
    : model_(model),
      limits_(limits),
      recognizers_([&] {
        std::vector<std::unique_ptr<Recognizer>> recognizers;
        for (std::size_t i = 0; i < limits.workers; ++i) {
          recognizers.push_back(std::make_unique<Recognizer>(model, limits.threads));
          // Memory is allocated at the first use: not while a caller waits.
          recognizers.back()->transcribe(std::vector<float>(kRate), "en", [] { return false; });
        }
        return recognizers;
      }()),
      metrics_(std::make_shared<Metrics>(model.name(), limits.workers, [this] { return scheduler_.counts(); })),
      scheduler_(limits.workers, limits.queue) {}

void Transcriber::submit(const std::shared_ptr<Transcription>& transcription) {
  switch (scheduler_.submit(transcription)) {
    case Scheduler::Admission::kAccepted:
      break;
    case Scheduler::Admission::kFull:
      transcription->refuse();
      break;
    case Scheduler::Admission::kStopping:
      transcription->drop(Dropped::kStopping);
      break;
  }
}

void Transcriber::cancel(Transcription& transcription) { scheduler_.cancel(transcription); }

}  // namespace voicestream::stt
