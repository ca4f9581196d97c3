// stt_server: loads the model, serves until SIGTERM, drains, exits.
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <pthread.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <new>

#include "options.h"

namespace {

using namespace voicestream::stt;

// Before any thread is made, so that all of them leave the signals to `sigwait`.
sigset_t block_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

// While it starts; later its failures go to the clients and, in our words, to the log: whisper.cpp takes an aborted run
// for one.
void log_whisper(ggml_log_level level, const char* text, void*) {
  if (level >= GGML_LOG_LEVEL_ERROR && level != GGML_LOG_LEVEL_CONT) {
    std::fputs(text, stderr);
  }
}

void log_nothing(ggml_log_level, const char*, void*) {}

// ggml ends the process where it gets no memory.
void explain_abort(const char* message) {
  std::cerr << "stt_server: whisper.cpp gave up: " << message
            << "\nstt_server: if there is no memory for so many workers, set fewer --workers or give it more"
            << std::endl;
  std::_Exit(1);
}

int serve(const Options& options, const sigset_t& signals) {
  const Model model(options.model, options.gpu);
  Service service(model, options.limits);
  whisper_log_set(log_nothing, nullptr);
  std::unique_ptr<MetricsEndpoint> metrics;
  if (!options.metrics.empty()) {
    metrics = std::make_unique<MetricsEndpoint>(options.metrics, service.metrics());
  }

  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(options.listen, grpc::InsecureServerCredentials(), &port);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // Clients ask every few seconds of a long stream whether we are still there; by default that is taken for an attack.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 60'000);  // a stream ends whose client vanished without a word
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (!server || port == 0) {
    std::cerr << "stt_server: can't listen on " << options.listen << ": the port is taken or the address isn't ours\n";
    return 1;
  }
  server->GetHealthCheckService()->SetServingStatus(v1::SpeechToText::service_full_name(), true);
  const auto host = options.listen.substr(0, options.listen.rfind(':'));
  std::cout << "serving " << model.name() << " on " << host << ":" << port << " with " << options.limits.workers
            << " workers" << std::endl;
  if (metrics) {
    std::cout << "metrics on http://" << options.metrics.substr(0, options.metrics.rfind(':')) << ":" << metrics->port()
              << "/metrics" << std::endl;
  }

  int signal = 0;
  sigwait(&signals, &signal);
  std::cout << "draining" << std::endl;
  server->GetHealthCheckService()->SetServingStatus(false);
  service.shut_down(*server, options.drain);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Options options = parse(argc, argv);
    if (options.help) {
      std::cout << kHelp;
      return 0;
    }
    const sigset_t signals = block_signals();
    whisper_log_set(log_whisper, nullptr);
    ggml_set_abort_callback(explain_abort);
    return serve(options, signals);
  } catch (const UsageError& error) {
    std::cerr << "stt_server: " << error.what() << "; --help tells more\n";
    return 2;
  } catch (const std::bad_alloc&) {
    std::cerr << "stt_server: there is no memory for so many workers: set fewer --workers or give it more\n";
    return 1;
  } catch (const std::exception& error) {
    std::cerr << "stt_server: " << error.what() << "\n";
    return 1;
  }
}
