/* The command line's only door to the heap; see heap.h. */
#include "cli/heap.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tokray/error.h>
#include <unistd.h>

static void *need(void *block)
{
    static const char message[] = "error: the system gives no more memory\n";
    if (block)
        return block;
    ssize_t ignored = write(STDERR_FILENO, message, sizeof message - 1);
    (void)ignored;
    _exit(tkr_status_exit_code(TKR_E_LIMIT_OOM));
}

void *heap_new(size_t count, size_t size) { return need(calloc(count ? count : 1, size)); }

void *heap_grow(void *list, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return list;
    *capacity = *capacity ? 2 * *capacity : 16;
    return need(reallocarray(list, *capacity, size));
}

char *heap_text(const char *bytes, size_t count)
{
    char *copy = heap_new(count + 1, 1);
    memcpy(copy, bytes, count);
    return copy;
}

char *heap_format(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *text = heap_new(length < 0 ? 1 : (size_t)length + 1, 1);
    va_start(arguments, format);
    vsnprintf(text, length < 0 ? 1 : (size_t)length + 1, format, arguments);
    va_end(arguments);
    return text;
}

void heap_free(void *block) { free(block); }
