#include "service.h"

#include <algorithm>
#include <thread>

#include "stream_call.h"
#include "unary_call.h"

namespace voicestream::stt {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds kLastWords = 500ms;  // for the answers of streams before their connections go

}  // namespace

grpc::ServerUnaryReactor* Service::Transcribe(grpc::CallbackServerContext* context,
                                              const v1::TranscribeRequest* request, v1::Transcript* response) {
  return new UnaryCall(transcriber_, *context, *request, *response);  // frees itself
}

grpc::ServerBidiReactor<v1::StreamingRequest, v1::StreamingResponse>* Service::StreamingTranscribe(
    grpc::CallbackServerContext* context) {
  return StreamCall::begin(transcriber_, streams_, *context);
}

void Service::shut_down(grpc::Server& server, std::chrono::milliseconds within) {
  const auto until = std::chrono::system_clock::now() + within;
  std::thread streams([&] { streams_.drain(Clock::now() + std::max(within - kLastWords, 0ms)); });
  server.Shutdown(until);
  streams.join();
  transcriber_.stop();
}

}  // namespace voicestream::stt
