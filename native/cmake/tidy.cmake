# The target `tidy`: clang-tidy with .clang-tidy over our own sources.
find_program(STT_CLANG_TIDY NAMES clang-tidy clang-tidy-14)
file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/src/*.cc ${CMAKE_CURRENT_SOURCE_DIR}/bench/*.cc)
if(STT_CLANG_TIDY)
  add_custom_target(
    tidy
    COMMAND ${STT_CLANG_TIDY} -p ${CMAKE_BINARY_DIR} --quiet --warnings-as-errors=* ${sources}
    VERBATIM
  )
else()
  add_custom_target(tidy COMMAND ${CMAKE_COMMAND} -E echo "tidy: skipped: clang-tidy is not installed")
endif()
add_dependencies(tidy stt_proto) # whose headers are generated
