// Tells the thread sanitizer of the mutexes inside gRPC. The system's gRPC locks with abseil's, which wait on futexes
// in code that was compiled without the sanitizer: it can't know that what one thread wrote before it unlocked is seen
// by the thread that locks next. The functions here take the places of abseil's, in builds under that sanitizer only,
// and say so. No access to memory is kept from the sanitizer's eyes.
#include <absl/base/options.h>
#include <absl/synchronization/mutex.h>
#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>

#include <cstdio>
#include <cstdlib>
#include <string>

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

}  // namespace

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
