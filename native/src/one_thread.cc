// whisper.cpp computes the word times on a back end of its own, to which it gives ggml's four threads: three of them
// only spin. Its calls come here instead (cmake/whisper.cmake). Its other back ends are told their threads at each use.
#include <ggml-backend.h>
#include <ggml-cpu.h>

extern "C" ggml_backend_t stt_backend_init_by_type(enum ggml_backend_dev_type type, const char* params) {
  ggml_backend_t backend = ggml_backend_init_by_type(type, params);
  if (backend != nullptr && ggml_backend_is_cpu(backend)) {
    ggml_backend_cpu_set_n_threads(backend, 1);
  }
  return backend;
}
