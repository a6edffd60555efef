# Language level, warnings and sanitizers for every target of the project.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

option(FF_WERROR "Treat warnings as errors" ON)
set(FF_SANITIZE "" CACHE STRING "Sanitizers: empty, 'address,undefined' or 'thread'")

add_library(ff_options INTERFACE)
target_compile_options(ff_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
                       # g++ 12 at -O2 and above sees overlaps in std::string that are not there (GCC bug 105651).
                       $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
target_include_directories(ff_options INTERFACE "${PROJECT_SOURCE_DIR}")
# Messages and debug information name files from the repository root, wherever the checkout lies.
add_compile_options("-ffile-prefix-map=${CMAKE_SOURCE_DIR}/=")
if(FF_WERROR)
  target_compile_options(ff_options INTERFACE -Werror)
endif()
# Build type of the sanitizer presets: optimised as far as the compiler's seconds go, with lines in the reports. Plain
# variables: project() has put empty ones in the cache. Warnings are the release build's business: below -O2 with
# sanitizers g++ 12 sees uninitialized variables and overflows that are not there (FF_WERROR is off in the presets).
set(CMAKE_CXX_FLAGS_SANITIZER "-Og -g1")
set(CMAKE_C_FLAGS_SANITIZER "-Og -g1")
if(FF_SANITIZE)
  # Half of a compiler's time goes into headers: builds that nobody edits in take eight files of a target at a time.
  # Names in anonymous namespaces are therefore unique in their folder. -DCMAKE_UNITY_BUILD=OFF: file by file.
  option(CMAKE_UNITY_BUILD "Compile several files at a time" ON)
  set(CMAKE_UNITY_BUILD_BATCH_SIZE 8)
  target_compile_options(ff_options INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  add_compile_options(-fsanitize=${FF_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${FF_SANITIZE})
endif()

# libFuzzer comes with clang. Its builds are for finding faults only; warnings are g++'s business.
option(FF_FUZZ "Make the fuzz targets libFuzzer programs (clang)" OFF)
if(FF_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# ccache makes the second build of a checkout quick; its absence changes nothing.
find_program(FF_CCACHE ccache)
if(FF_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # With a base folder, a second checkout finds what the first one compiled.
  set(launcher "${CMAKE_COMMAND}" -E env "CCACHE_BASEDIR=${CMAKE_SOURCE_DIR}" "${FF_CCACHE}")
  set(CMAKE_CXX_COMPILER_LAUNCHER "${launcher}")
  set(CMAKE_C_COMPILER_LAUNCHER "${launcher}")
endif()

# ff_library(name SOURCES ... LINK ... [PRIVATE_LINK ...]): target ff_<name>, alias ff::<name>.
function(ff_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK;PRIVATE_LINK" ${ARGN})
  add_library(ff_${name} STATIC ${ARG_SOURCES})
  add_library(ff::${name} ALIAS ff_${name})
  target_link_libraries(ff_${name} PUBLIC ${ARG_LINK} PRIVATE ff_options ${ARG_PRIVATE_LINK})
  target_include_directories(ff_${name} PUBLIC "${PROJECT_SOURCE_DIR}")
endfunction()

# ff_program(name SOURCES ... LINK ...): an executable whose file is called `name`.
function(ff_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ff_options ${ARG_LINK})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
  install(TARGETS ${name} RUNTIME DESTINATION bin)
endfunction()
