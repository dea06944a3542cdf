# Compiler flags shared by every target (CONTRIBUTING.md).
add_library(cp_options INTERFACE)
target_compile_definitions(cp_options INTERFACE _GNU_SOURCE _FILE_OFFSET_BITS=64)
target_include_directories(cp_options INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(cp_options INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
  -Wvla -Wformat=2 -Wno-format-truncation -fno-common -fstack-protector-strong)
if(CMAKE_C_COMPILER_ID STREQUAL "Clang")
  target_compile_options(cp_options INTERFACE -Wno-unknown-warning-option)
endif()
if(CASTPOINT_WERROR)
  target_compile_options(cp_options INTERFACE -Werror)
endif()
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_definitions(cp_options INTERFACE _FORTIFY_SOURCE=2)
endif()
if(CASTPOINT_SANITIZE_ADDRESS)
  target_compile_options(cp_options INTERFACE
    -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(cp_options INTERFACE -fsanitize=address,undefined)
endif()
if(CASTPOINT_SANITIZE_THREAD)
  target_compile_options(cp_options INTERFACE -fsanitize=thread -fno-omit-frame-pointer)
  target_link_options(cp_options INTERFACE -fsanitize=thread)
endif()

# cp_library(NAME SOURCES… [LIBS …]): a static library with the project's flags.
function(cp_library name)
  cmake_parse_arguments(ARG "" "" "LIBS" ${ARGN})
  add_library(${name} STATIC ${ARG_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PUBLIC cp_options ${ARG_LIBS})
endfunction()
