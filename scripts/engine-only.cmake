# llama-cpp-python forces llama.cpp's common library on; it serves the command-line tools only, and is half of the compile.
# CMAKE_PROJECT_INCLUDE reads this after each project() call: late enough to win, early enough to count.
if(PROJECT_NAME STREQUAL "llama.cpp")
  set(LLAMA_BUILD_COMMON OFF CACHE BOOL "" FORCE)
endif()
