# How a test program is made; for the whole tree (tests/CMakeLists.txt) and for the codec library alone (kernels/).
# ff_test(name DIR <folder below tests/> LINK ...): every *_test.cpp in the folder, in one Catch2 program.
find_package(Catch2 REQUIRED)

# Everything the tests run, and nothing else: what a sanitizer build needs.
add_custom_target(ff_tests)

add_library(ff_test_main STATIC ${CMAKE_CURRENT_LIST_DIR}/../../tests/support/test_main.cpp)
target_link_libraries(ff_test_main PUBLIC Catch2::Catch2 ff_options)

function(ff_test name)
  cmake_parse_arguments(ARG "" "DIR;LABELS;TIMEOUT" "LINK;ARGUMENTS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${ARG_DIR}/*_test.cpp)
  add_executable(${name} ${sources})
  target_link_libraries(${name} PRIVATE ff_test_main ${ARG_LINK})
  add_dependencies(ff_tests ${name})
  add_test(NAME ${name} COMMAND ${name} ${ARG_ARGUMENTS})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  if(FF_SANITIZE OR CMAKE_CROSSCOMPILING)
    math(EXPR ARG_TIMEOUT "4 * ${ARG_TIMEOUT}")
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT})
endfunction()
