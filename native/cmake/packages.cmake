# Threads and Eigen, and how a package that is missing is named.
set(STT_PACKAGES
    "libgrpc++-dev libprotobuf-dev protobuf-compiler protobuf-compiler-grpc libeigen3-dev libgtest-dev prometheus-cpp-dev"
)

function(stt_require found name)
  if(NOT found)
    message(FATAL_ERROR "${name} is missing. On Debian or Ubuntu: apt-get install ${STT_PACKAGES}")
  endif()
endfunction()

find_package(Threads REQUIRED)
if(EIGEN_SOURCE_DIR)
  add_library(Eigen3::Eigen INTERFACE IMPORTED)
  target_include_directories(Eigen3::Eigen INTERFACE ${EIGEN_SOURCE_DIR})
else()
  find_package(Eigen3 3.4 QUIET NO_MODULE)
  stt_require("${Eigen3_FOUND}" "Eigen 3.4")
endif()
