// Between the messages of the interface and what the server works with.
#pragma once

#include <grpcpp/grpcpp.h>

#include <string>
#include <string_view>
#include <vector>

#include "stt.pb.h"
#include "transcription.h"

namespace voicestream::stt {

// INVALID_ARGUMENT, with what is wrong, or OK.
grpc::Status objection_to(const v1::Format& format, const Model& model);

// The same for audio in a format that has no objection.
grpc::Status objection_to(std::string_view audio, const v1::Format& format);

std::size_t bytes_per_second(const v1::Format& format);

// At 16 kHz.
std::vector<float> samples_of(std::string_view audio, const v1::Format& format);

void fill(v1::Transcript& message, const Transcription::Result& result, const std::string& model);

// gRPC's deadline, or the longest wait from now on where that is sooner. gRPC's is a time of day; the scheduler must
// not follow when that clock is set.
Clock::time_point deadline_of(const grpc::CallbackServerContext& context, std::chrono::milliseconds longest_wait);

// To RESOURCE_EXHAUSTED adds when to retry, in words and as the trailer that gRPC's own clients heed (gRFC A6); any
// other status stays as it is.
grpc::Status with_retry_hint(const grpc::Status& status, std::chrono::milliseconds retry,
                             grpc::CallbackServerContext& context);

}  // namespace voicestream::stt
