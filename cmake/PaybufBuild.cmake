# Compiler settings and the two helpers that every folder uses: pay_library() and pay_test().

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

option(PAY_WERROR "Treat warnings as errors (CI does)" OFF)
set(PAY_SANITIZE "" CACHE STRING "Sanitizers to build with: address,undefined or thread")
option(PAY_COVERAGE "Instrument for gcov" OFF)

find_package(PkgConfig REQUIRED)
pkg_check_modules(RDKAFKA REQUIRED IMPORTED_TARGET rdkafka>=2.0.2)
pkg_check_modules(LIBPQ REQUIRED IMPORTED_TARGET libpq)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson>=2.14)
pkg_check_modules(MICROHTTPD REQUIRED IMPORTED_TARGET libmicrohttpd>=0.9.75)
pkg_check_modules(INIH REQUIRED IMPORTED_TARGET inih)
pkg_check_modules(CRYPTO REQUIRED IMPORTED_TARGET libcrypto)
pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl)
pkg_check_modules(CMOCKA IMPORTED_TARGET cmocka)

add_library(pay_flags INTERFACE)
target_compile_definitions(pay_flags INTERFACE _POSIX_C_SOURCE=200809L _DEFAULT_SOURCE PAY_VERSION="${PROJECT_VERSION}")
target_include_directories(pay_flags INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/common)
target_compile_options(pay_flags INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla
  -Wformat=2 -Wundef -Wpointer-arith -Wwrite-strings -fno-common
  $<$<BOOL:${PAY_WERROR}>:-Werror>)
if(PAY_SANITIZE)
  target_compile_options(pay_flags INTERFACE -fsanitize=${PAY_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all -g)
  target_link_options(pay_flags INTERFACE -fsanitize=${PAY_SANITIZE})
elseif(CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo" OR CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_options(pay_flags INTERFACE -fstack-protector-strong -fstack-clash-protection -fPIE
    -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
  target_link_options(pay_flags INTERFACE -pie -Wl,-z,relro -Wl,-z,now)
endif()
if(PAY_COVERAGE)
  target_compile_options(pay_flags INTERFACE --coverage -O0 -g)
  target_link_options(pay_flags INTERFACE --coverage)
endif()

# Asserts stay on in every build: they guard money, not speed.
foreach(type RELEASE RELWITHDEBINFO MINSIZEREL)
  string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_${type} "${CMAKE_C_FLAGS_${type}}")
endforeach()

# pay_library(NAME SOURCES ... LINK ...): a static library of one folder.
function(pay_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC pay_flags ${ARG_LINK})
endfunction()

# What programs and tests have in common. gcc's TSan doesn't know the C11 threads of librdkafka: tests/lib/tsan_threads.c.
function(pay_executable name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE pay_flags ${ARG_LINK})
  if(PAY_SANITIZE STREQUAL "thread")
    target_sources(${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests/lib/tsan_threads.c)
  endif()
endfunction()

# pay_program(NAME SOURCES ... LINK ...): an executable, put in <build>/bin.
function(pay_program name)
  pay_executable(${name} ${ARGN})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
endfunction()

# pay_test(NAME RUNG SOURCES ... LINK ... [TIMEOUT seconds]): a cmocka program, labelled with its rung (unit, scenario, mock, pg).
function(pay_test name rung)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;LINK" ${ARGN})
  pay_executable(${name} SOURCES ${ARG_SOURCES} LINK ${ARG_LINK} PkgConfig::CMOCKA)
  add_test(NAME ${rung}/${name} COMMAND ${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 60)
  endif()
  set_tests_properties(${rung}/${name} PROPERTIES LABELS ${rung} TIMEOUT ${ARG_TIMEOUT})
endfunction()
