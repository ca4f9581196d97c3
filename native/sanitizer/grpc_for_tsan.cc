// Tells the thread sanitizer what it can't see of the system's gRPC, which was compiled without it: that what one
// thread wrote before it unlocked a mutex of abseil's is seen by the thread that locks it next, and that the callback
// of a batch of operations comes after the call that started the batch (between them is a queue without locks). The
// functions here take the places of those libraries', in builds under that sanitizer only, and say so. Of accesses
// to memory only those are kept from the sanitizer's eyes that the system's libraries make themselves.
#include <absl/base/options.h>
#include <absl/synchronization/mutex.h>
#include <dlfcn.h>
#include <grpc/grpc.h>
#include <grpcpp/support/server_callback.h>
#include <sanitizer/tsan_interface.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>

bool grpc_call_is_client(grpc_call* call);  // in the library, but in no header that is installed

namespace {

#define STT_TEXT_OF(name) #name
#define STT_TEXT(name) STT_TEXT_OF(name)

// abseil's own function of this signature: `name` is what follows the namespace in the mangled name.
template <typename Function>
Function abseil(const char* name) {
  const std::string space = STT_TEXT(ABSL_OPTION_INLINE_NAMESPACE_NAME);
  const std::string symbol = "_ZN4absl" + std::to_string(space.size()) + space + name;
  void* found = dlsym(RTLD_NEXT, symbol.c_str());
  if (found == nullptr) {
    std::fprintf(stderr, "tsan_grpc: abseil has no %s\n", symbol.c_str());
    std::abort();
  }
  return reinterpret_cast<Function>(found);
}

using Run = void (*)(grpc_completion_queue_functor*, int);

// What the tags of all calls of a server run: CallbackWithSuccessTag::StaticRun, which is private. Relaxed: an order
// that this file brought about would hide races.
std::atomic<Run> static_run{nullptr};

void run_after_start(grpc_completion_queue_functor* tag, int ok) {
  __tsan_acquire(tag);
  static_run.load(std::memory_order_relaxed)(tag, ok);
}

}  // namespace

extern "C" grpc_call_error grpc_call_start_batch(grpc_call* call, const grpc_op* ops, size_t count, void* tag,
                                                 void* reserved) {
  static const auto start =
      reinterpret_cast<decltype(&grpc_call_start_batch)>(dlsym(RTLD_NEXT, "grpc_call_start_batch"));
  if (!grpc_call_is_client(call)) {  // our clients wait for their calls: those tags are no functors
    auto* functor = static_cast<grpc_completion_queue_functor*>(tag);
    Run known = nullptr;
    if (functor->functor_run != run_after_start &&
        (static_run.compare_exchange_strong(known, functor->functor_run, std::memory_order_relaxed) ||
         known == functor->functor_run)) {
      functor->functor_run = run_after_start;
    }
    __tsan_release(tag);
  }
  return start(call, ops, count, tag, reserved);
}

namespace grpc::internal {

// Comes when the last of a call's callbacks is through. If that one ran in the library, the sanitizer hasn't seen that
// it read the count which the others wrote.
void ServerCallbackCall::ScheduleOnDone(bool inline_ondone) {
  static const auto schedule = reinterpret_cast<void (*)(ServerCallbackCall*, bool)>(
      dlsym(RTLD_NEXT, "_ZN4grpc8internal18ServerCallbackCall14ScheduleOnDoneEb"));
  callbacks_outstanding_.load(std::memory_order_acquire);
  schedule(this, inline_ondone);
}

}  // namespace grpc::internal

// What the system's libraries do with memory by functions that the sanitizer watches, memcpy and such, is their own.
extern "C" const char* __tsan_default_options() { return "ignore_noninstrumented_modules=1"; }

namespace absl {
ABSL_NAMESPACE_BEGIN

void Mutex::Lock() {
  static const auto lock = abseil<void (*)(Mutex*)>("5Mutex4LockEv");
  lock(this);
  __tsan_acquire(this);
}

bool Mutex::TryLock() {
  static const auto try_lock = abseil<bool (*)(Mutex*)>("5Mutex7TryLockEv");
  const bool locked = try_lock(this);
  if (locked) {
    __tsan_acquire(this);
  }
  return locked;
}

void Mutex::Unlock() {
  static const auto unlock = abseil<void (*)(Mutex*)>("5Mutex6UnlockEv");
  __tsan_release(this);
  unlock(this);
}

void CondVar::Wait(Mutex* mutex) {
  static const auto wait = abseil<void (*)(CondVar*, Mutex*)>("7CondVar4WaitEPNS0_5MutexE");
  __tsan_release(mutex);
  wait(this, mutex);
  __tsan_acquire(mutex);
}

bool CondVar::WaitWithTimeout(Mutex* mutex, Duration timeout) {
  static const auto wait =
      abseil<bool (*)(CondVar*, Mutex*, Duration)>("7CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE");
  __tsan_release(mutex);
  const bool timed_out = wait(this, mutex, timeout);
  __tsan_acquire(mutex);
  return timed_out;
}

bool CondVar::WaitWithDeadline(Mutex* mutex, Time deadline) {
  static const auto wait =
      abseil<bool (*)(CondVar*, Mutex*, Time)>("7CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE");
  __tsan_release(mutex);
  const bool timed_out = wait(this, mutex, deadline);
  __tsan_acquire(mutex);
  return timed_out;
}

ABSL_NAMESPACE_END
}  // namespace absl
