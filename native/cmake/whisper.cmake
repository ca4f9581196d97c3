# whisper.cpp as the static library `whisper`.
include(CheckCXXCompilerFlag)
include(FetchContent)

set(BUILD_SHARED_LIBS OFF)
set(GGML_OPENMP OFF) # a state computes on one thread: there is nothing to share out, and nothing may spin
set(GGML_LLAMAFILE ON)
set(WHISPER_ALL_WARNINGS OFF)
set(CMAKE_POLICY_DEFAULT_CMP0077 NEW) # the settings above hold against whisper.cpp's own defaults

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
