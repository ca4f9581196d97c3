# gRPC, protobuf, Prometheus' client and GoogleTest from the system, and the code generated from the interface as the library `stt_proto`.
find_package(GTest QUIET)
stt_require("${GTest_FOUND}" "GoogleTest")
find_package(Protobuf QUIET)
stt_require("${Protobuf_FOUND}" "protobuf")
find_package(PkgConfig QUIET)
stt_require("${PKG_CONFIG_FOUND}" "pkg-config")
pkg_check_modules(GRPC QUIET IMPORTED_TARGET grpc++)
stt_require("${GRPC_FOUND}" "gRPC for C++")
pkg_check_modules(PROMETHEUS QUIET IMPORTED_TARGET prometheus-cpp-pull)
stt_require("${PROMETHEUS_FOUND}" "prometheus-cpp with its exposer")
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
