// Rows of one statement that wait to be written together. PG world.
#pragma once

#include "capture/writer.hpp"

namespace carbonite
{

// Takes a row to be written with others, no later than anything in this session could read it;
// false if it has to be written at once.
bool batch_add(const Writer *writer, const Datum *values, const bool *nulls);

// Writes the rows that wait.
void batch_write(void);

void batch_init(void);

} // namespace carbonite
