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

bool tkr_family_describe(size_t index, tkr_family_facts *facts)
{
    const family *f = family_at(index);
    if (f && facts)
        *facts = (tkr_family_facts){f->title, f->model_types};
    return f && facts;
}

bool tkr_family_head(size_t index, size_t number, tkr_head_facts *facts)
{
    const family *f = family_at(index);
    const head *const *h = f ? f->heads : NULL;
    for (size_t i = 0; h && *h && i < number; i++)
        h++;
    if (!h || !*h || !facts)
        return false;
    *facts = (tkr_head_facts){(*h)->task, (*h)->title, (*h)->architectures};
    return true;
}
