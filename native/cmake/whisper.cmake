# whisper.cpp as the static library `whisper`.
include(CheckCXXCompilerFlag)
include(FetchContent)

# The architectures of the GPUs at hand, else those of data centres: T4, A100 (and A10, L4), H100; newer ones by PTX.
function(stt_gpu_architectures found)
  execute_process(
    COMMAND nvidia-smi --query-gpu=compute_cap --format=csv,noheader
    OUTPUT_VARIABLE capabilities ERROR_QUIET RESULT_VARIABLE failed
  )
  if(failed)
    set(${found} 75 80 90 PARENT_SCOPE)
  else()
    string(REGEX MATCHALL "[0-9]+\\.[0-9]+" capabilities "${capabilities}")
    list(REMOVE_DUPLICATES capabilities)
    string(REPLACE "." "" capabilities "${capabilities}")
    set(${found} ${capabilities} PARENT_SCOPE)
  endif()
endfunction()

set(BUILD_SHARED_LIBS OFF)
set(GGML_OPENMP OFF) # a state computes on one thread: there is nothing to share out, and nothing may spin
set(GGML_LLAMAFILE ON)
set(WHISPER_ALL_WARNINGS OFF)
set(CMAKE_POLICY_DEFAULT_CMP0077 NEW) # the settings above hold against whisper.cpp's own defaults

if(GGML_CUDA)
  set(GGML_CUDA_FA OFF) # flash attention hides what the word times are read from; most of the build would be its kernels
  set(GGML_CUDA_NO_VMM ON) # the driver's library is no part of a toolkit, and a build machine need not have it
  set(GGML_CUDA_NCCL OFF)
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    stt_gpu_architectures(CMAKE_CUDA_ARCHITECTURES)
  endif()
endif()

if(GGML_NATIVE)
  # ggml 0.13 crashes in ggml_backend_amx_mul_mat on quantised models.
  check_cxx_compiler_flag(-mno-amx-int8 STT_HAS_AMX_SWITCH)
  if(STT_HAS_AMX_SWITCH)
    add_compile_options(-mno-amx-int8)
  endif()
endif()

if(WHISPER_SOURCE_DIR)
  set(FETCHCONTENT_SOURCE_DIR_WHISPER "${WHISPER_SOURCE_DIR}")
endif()
FetchContent_Declare(
  whisper
  GIT_REPOSITORY https://github.com/ggml-org/whisper.cpp.git
  GIT_TAG v1.8.5
  GIT_SHALLOW TRUE
)
FetchContent_MakeAvailable(whisper)

# See the source: without it three threads spin while the word times are computed.
add_library(stt_one_thread STATIC ${CMAKE_CURRENT_SOURCE_DIR}/src/one_thread.cc)
target_link_libraries(stt_one_thread PUBLIC ggml)
target_compile_definitions(whisper PRIVATE ggml_backend_init_by_type=stt_backend_init_by_type)
target_link_libraries(whisper PRIVATE stt_one_thread)
