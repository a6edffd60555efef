# How a test program is made; for the whole tree (tests/CMakeLists.txt) and for the codec library alone (kernels/).
# ff_test(name DIR <folder below tests/> LINK ... [THREADS]): every *_test.cpp in the folder, in one Catch2 program.
# THREADS: what it tests runs on several threads; the thread sanitizer watches these (label threads).
find_package(Catch2 REQUIRED)

# Everything the tests run, and nothing else: what a sanitizer build needs.
add_custom_target(ff_tests)
add_custom_target(ff_thread_tests)

add_library(ff_test_main STATIC ${CMAKE_CURRENT_LIST_DIR}/../../tests/support/test_main.cpp)
target_link_libraries(ff_test_main PUBLIC Catch2::Catch2 ff_options)
if(FF_SANITIZE)
  # Nothing of ours is in there, and instrumented it is the longest file of the build. Tests link it last: what it
  # shares with our code is taken from our code.
  target_compile_options(ff_test_main PRIVATE -O0 -fno-sanitize=all)
endif()

function(ff_test name)
  cmake_parse_arguments(ARG "THREADS" "DIR;LABELS;TIMEOUT" "LINK;ARGUMENTS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${ARG_DIR}/*_test.cpp)
  add_executable(${name} ${sources})
  target_link_libraries(${name} PRIVATE ${ARG_LINK} Catch2::Catch2 ff_options ff_test_main)
  add_dependencies(ff_tests ${name})
  if(ARG_THREADS)
    list(APPEND ARG_LABELS threads)
    add_dependencies(ff_thread_tests ${name})
  endif()
  add_test(NAME ${name} COMMAND ${name} ${ARG_ARGUMENTS})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  if(FF_SANITIZE OR CMAKE_CROSSCOMPILING)
    math(EXPR ARG_TIMEOUT "4 * ${ARG_TIMEOUT}")
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT})
endfunction()
