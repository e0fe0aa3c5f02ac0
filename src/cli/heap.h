/* Memory of the command line; a program that cannot get any says so and ends with exit code 6. */
#ifndef CLI_HEAP_H
#define CLI_HEAP_H

#include <stddef.h>

void *heap_new(size_t count, size_t size); /* zeroed */
/* Room for one more item in a list that doubles: returns the list, *capacity updated. */
void *heap_grow(void *list, size_t count, size_t *capacity, size_t size);
char *heap_text(const char *bytes, size_t count); /* a copy with a NUL */
char *heap_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
void heap_free(void *block);

#endif
