/* Small tables of text: columns as wide as their widest cell, counted in terminal columns; every cell is made safe. */
#ifndef CLI_COLUMNS_TABLE_H
#define CLI_COLUMNS_TABLE_H

#include "cli/stream.h"

enum { TABLE_COLUMNS_MOST = 8 };

typedef struct columns_table {
    size_t columns;
    unsigned right;  /* bit i: column i is right-aligned */
    char **cells;
    size_t count, capacity;
} columns_table;

void columns_table_init(columns_table *t, size_t columns, unsigned right);
void columns_table_add(columns_table *t, const char *text);
void columns_table_format(columns_table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints, two spaces in front and between, and frees. */
void columns_table_print(columns_table *t, stream *s);

#endif
