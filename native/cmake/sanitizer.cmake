# STT_SANITIZER for our own code. whisper.cpp stays as it is: instrumented it is many times slower, and its threads (one
# for each of our workers) share the weights alone, which they only read.
add_library(stt_sanitizer INTERFACE) # for executables that use gRPC
if(STT_SANITIZER)
  set(options -fsanitize=${STT_SANITIZER} -fno-sanitize-recover=all -fno-omit-frame-pointer -O1 -g)
  add_compile_options(${options})
  add_link_options(-fsanitize=${STT_SANITIZER})
  if(TARGET stt_proto)
    target_compile_options(stt_proto PRIVATE ${options})
  endif()
  if(STT_SANITIZER STREQUAL "thread")
    target_sources(stt_sanitizer INTERFACE ${CMAKE_CURRENT_SOURCE_DIR}/sanitizer/grpc_for_tsan.cc)
  endif()
endif()
