/* The table of families, from families/families.def. */
#include "model/family.h"

static const family *const families[] = {
#define FAMILY(id) &id##_family,
#include "model/families/families.def"
#undef FAMILY
};

const family *family_at(size_t index)
{
    return index < sizeof families / sizeof families[0] ? families[index] : NULL;
}

const char *tkr_family_name(size_t index)
{
    const family *f = family_at(index);
    return f ? f->model_types[0] : NULL;
}
