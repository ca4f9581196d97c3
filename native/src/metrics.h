// What Prometheus reads of the server: counters of requests, times and audio, and what the scheduler holds right now.
#pragma once

#include <grpcpp/support/status_code_enum.h>
#include <prometheus/collectable.h>
#include <prometheus/counter.h>
#include <prometheus/exposer.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "scheduler.h"

namespace voicestream::stt {

class Metrics final : public prometheus::Collectable {
 public:
  // `counts` is asked at each scrape.
  Metrics(const std::string& model, std::size_t workers, std::function<Scheduler::Counts()> counts);

  // Each request or segment of a stream, once, before its client is told.
  void ended(Kind kind, grpc::StatusCode code);

  // One that a worker has transcribed, in seconds.
  void transcribed(Kind kind, double audio, double in_queue, double inference);

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const std::size_t workers_;
  const std::function<Scheduler::Counts()> counts_;
  prometheus::Registry registry_;
  prometheus::Family<prometheus::Counter>& requests_;
  prometheus::Family<prometheus::Counter>& audio_;
  prometheus::Family<prometheus::Histogram>& in_queue_;
  prometheus::Family<prometheus::Histogram>& inference_;
};

// http://ADDRESS/metrics, as long as it lives.
class MetricsEndpoint {
 public:
  // `address` is HOST:PORT; port 0 takes a free one. Raises std::runtime_error when it can't listen there.
  MetricsEndpoint(const std::string& address, const std::shared_ptr<Metrics>& metrics);

  int port() const { return exposer_->GetListeningPorts().at(0); }

 private:
  std::unique_ptr<prometheus::Exposer> exposer_;
};

}  // namespace voicestream::stt
