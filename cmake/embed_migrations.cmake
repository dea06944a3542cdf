# Makes a C file of the migrations: cmake -DOUTPUT=x.c -DFOLDER=migrations -P embed_migrations.cmake
# Each file becomes an array of bytes with its SHA-256, in order of the numbers.
file(GLOB files "${FOLDER}/[0-9][0-9][0-9][0-9]_*.sql")
list(SORT files)
set(arrays "")
set(rows "")
set(expected 1)
foreach(file IN LISTS files)
  get_filename_component(name "${file}" NAME)
  string(REGEX MATCH "^0*([0-9]+)_" _ "${name}")
  set(number "${CMAKE_MATCH_1}")
  if(NOT number EQUAL expected)
    message(FATAL_ERROR "migration ${name}: the number ${expected} was expected")
  endif()
  math(EXPR expected "${expected} + 1")
  file(SHA256 "${file}" digest)
  file(READ "${file}" hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(APPEND arrays "static const char sql_${number}[] = {${bytes}0};\n")
  string(APPEND rows "    {${number}, \"${name}\", \"${digest}\", sql_${number}},\n")
endforeach()
file(WRITE "${OUTPUT}" "/* Generated from migrations/ by cmake/embed_migrations.cmake. */
#include \"db/migrations.h\"

${arrays}
const struct db_migration db_migrations[] = {
${rows}};
const size_t db_migration_count = sizeof db_migrations / sizeof db_migrations[0];
")
