/* Public door to the escaping of base/escape.h. */
#include <tokray/present.h>

#include "base/escape.h"

char *tkr_escape(char *out, size_t capacity, const char *bytes, size_t count)
{
    if (capacity > 0)
        escape_into(out, capacity, (view){bytes, bytes ? count : 0}, true);
    return out;
}
