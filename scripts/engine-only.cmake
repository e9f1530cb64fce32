# llama-cpp-python forces llama.cpp's common library on; it serves the command-line tools only, and is half of the compile.
# CMAKE_PROJECT_INCLUDE reads this after each project() call: late enough to win, early enough to count.
if(PROJECT_NAME STREQUAL "llama.cpp")
  set(LLAMA_BUILD_COMMON OFF CACHE BOOL "" FORCE)
endif()

# Without Intel's AMX: llama.cpp's kernels for its tiles crash when several threads multiply a batch.
if(PROJECT_NAME STREQUAL "ggml" AND CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  include(CheckCXXCompilerFlag)
  check_cxx_compiler_flag(-mno-amx-tile AIOS_KNOWS_AMX)
  if(AIOS_KNOWS_AMX)
    add_compile_options($<$<COMPILE_LANGUAGE:C,CXX>:-mno-amx-tile> $<$<COMPILE_LANGUAGE:C,CXX>:-mno-amx-int8> $<$<COMPILE_LANGUAGE:C,CXX>:-mno-amx-bf16>)
  endif()
endif()
