#include "metrics.h"

#include <prometheus/family.h>
#include <whisper.h>

#include <stdexcept>
#include <utility>

namespace voicestream::stt {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

const std::vector<double> kSeconds{.01, .025, .05, .075, .1, .15, .2, .3, .5, .75, 1, 2, 5, 10, 30};

constexpr auto kCodes = {grpc::StatusCode::OK,         grpc::StatusCode::INVALID_ARGUMENT,
                         grpc::StatusCode::CANCELLED,  grpc::StatusCode::RESOURCE_EXHAUSTED,
                         grpc::StatusCode::INTERNAL,   grpc::StatusCode::DEADLINE_EXCEEDED,
                         grpc::StatusCode::UNAVAILABLE};

const char* outcome_of(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::OK:
      return "ok";
    case grpc::StatusCode::INVALID_ARGUMENT:
      return "invalid";
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return "refused";
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return "expired";
    case grpc::StatusCode::CANCELLED:
      return "cancelled";
    case grpc::StatusCode::UNAVAILABLE:
      return "stopping";
    default:
      return "failed";
  }
}

const char* name_of(Kind kind) { return kind == Kind::kInterim ? "interim" : "final"; }

MetricFamily gauge(std::string name, std::string help, std::size_t value) {
  ClientMetric metric;
  metric.gauge.value = static_cast<double>(value);
  return {std::move(name), std::move(help), MetricType::Gauge, {std::move(metric)}};
}

MetricFamily queue_length(const Scheduler::Counts& counts) {
  MetricFamily finals = gauge("stt_queue_length", "Requests that wait for a worker", counts.finals_waiting);
  MetricFamily interims = gauge("", "", counts.interims_waiting);
  finals.metric[0].label = {{"kind", name_of(Kind::kFinal)}};
  interims.metric[0].label = {{"kind", name_of(Kind::kInterim)}};
  finals.metric.push_back(std::move(interims.metric[0]));
  return finals;
}

MetricFamily interims_dropped(std::uint64_t value) {
  ClientMetric metric;
  metric.counter.value = static_cast<double>(value);
  return {"stt_interims_dropped_total",
          "Interim requests that were refused, or ended in the queue or on a worker, to make way for others",
          MetricType::Counter,
          {std::move(metric)}};
}

}  // namespace

Metrics::Metrics(const std::string& model, std::size_t workers, std::function<Scheduler::Counts()> counts)
    : workers_(workers),
      counts_(std::move(counts)),
      requests_(prometheus::BuildCounter()
                    .Name("stt_requests_total")
                    .Help("Requests and segments of streams that ended, by outcome")
                    .Register(registry_)),
      audio_(prometheus::BuildCounter()
                 .Name("stt_audio_seconds_total")
                 .Help("Audio that was transcribed")
                 .Register(registry_)),
      in_queue_(prometheus::BuildHistogram()
                    .Name("stt_queue_seconds")
                    .Help("From a request's arrival until a worker took it, of those that were transcribed")
                    .Register(registry_)),
      inference_(prometheus::BuildHistogram()
                     .Name("stt_inference_seconds")
                     .Help("From there until the transcript was ready")
                     .Register(registry_)) {
  prometheus::BuildGauge()
      .Name("stt_build_info")
      .Help("1; the model, and whisper.cpp's version")
      .Register(registry_)
      .Add({{"model", model}, {"whisper_cpp", whisper_version()}})
      .Set(1);
  for (const Kind kind : {Kind::kFinal, Kind::kInterim}) {  // a series that is there from the start has rates
    for (const grpc::StatusCode code : kCodes) {
      requests_.Add({{"kind", name_of(kind)}, {"outcome", outcome_of(code)}});
    }
    audio_.Add({{"kind", name_of(kind)}});
    in_queue_.Add({{"kind", name_of(kind)}}, kSeconds);
    inference_.Add({{"kind", name_of(kind)}}, kSeconds);
  }
}

void Metrics::ended(Kind kind, grpc::StatusCode code) {
  requests_.Add({{"kind", name_of(kind)}, {"outcome", outcome_of(code)}}).Increment();
}

void Metrics::transcribed(Kind kind, double audio, double in_queue, double inference) {
  const prometheus::Labels labels{{"kind", name_of(kind)}};
  audio_.Add(labels).Increment(audio);
  in_queue_.Add(labels, kSeconds).Observe(in_queue);
  inference_.Add(labels, kSeconds).Observe(inference);
}

std::vector<MetricFamily> Metrics::Collect() const {
  std::vector<MetricFamily> families = registry_.Collect();
  const Scheduler::Counts counts = counts_();
  families.push_back(queue_length(counts));
  families.push_back(gauge("stt_busy_workers", "Workers that have a request", counts.running));
  families.push_back(gauge("stt_workers", "Requests that can be transcribed at the same time", workers_));
  families.push_back(interims_dropped(counts.interims_dropped));
  return families;
}

MetricsEndpoint::MetricsEndpoint(const std::string& address, const std::shared_ptr<Metrics>& metrics) try
    : exposer_(std::make_unique<prometheus::Exposer>(address, 1)) {
  exposer_->RegisterCollectable(metrics);
} catch (const std::exception&) {  // civetweb's says nothing of the address
  throw std::runtime_error("can't listen on " + address + " for metrics: the port is taken or the address isn't ours");
}

}  // namespace voicestream::stt
