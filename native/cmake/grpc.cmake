# gRPC, protobuf, Eigen and threads from the system, and the code generated from the interface as the library `stt_proto`.
set(STT_PACKAGES
    "libgrpc++-dev libprotobuf-dev protobuf-compiler protobuf-compiler-grpc libeigen3-dev libgtest-dev"
)

function(stt_require found name)
  if(NOT found)
    message(FATAL_ERROR "${name} is missing. On Debian or Ubuntu: apt-get install ${STT_PACKAGES}")
  endif()
endfunction()

find_package(Threads REQUIRED)
find_package(Eigen3 3.4 QUIET NO_MODULE)
stt_require("${Eigen3_FOUND}" "Eigen 3.4")
find_package(GTest QUIET)
stt_require("${GTest_FOUND}" "GoogleTest")
find_package(Protobuf QUIET)
stt_require("${Protobuf_FOUND}" "protobuf")
find_package(PkgConfig QUIET)
stt_require("${PKG_CONFIG_FOUND}" "pkg-config")
pkg_check_modules(GRPC QUIET IMPORTED_TARGET grpc++)
stt_require("${GRPC_FOUND}" "gRPC for C++")
find_library(STT_GRPC_REFLECTION grpc++_reflection)
stt_require("${STT_GRPC_REFLECTION}" "gRPC's reflection service")
find_program(STT_GRPC_PLUGIN grpc_cpp_plugin)
stt_require("${STT_GRPC_PLUGIN}" "grpc_cpp_plugin")

set(generated ${CMAKE_CURRENT_BINARY_DIR}/generated)
set(sources ${generated}/stt.pb.cc ${generated}/stt.grpc.pb.cc)
file(MAKE_DIRECTORY ${generated})
add_custom_command(
  OUTPUT ${sources} ${generated}/stt.pb.h ${generated}/stt.grpc.pb.h
  COMMAND
    protobuf::protoc -I ${CMAKE_CURRENT_SOURCE_DIR}/proto --cpp_out=${generated} --grpc_out=${generated}
    --plugin=protoc-gen-grpc=${STT_GRPC_PLUGIN} stt.proto
  DEPENDS proto/stt.proto
  VERBATIM
)
add_library(stt_proto STATIC ${sources})
target_include_directories(stt_proto SYSTEM PUBLIC ${generated})
target_link_libraries(stt_proto PUBLIC protobuf::libprotobuf PkgConfig::GRPC)
