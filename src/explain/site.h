/* Names of sites: patterns with "*" for a layer's number, and what to say when none fits. */
#ifndef EXPLAIN_SITE_H
#define EXPLAIN_SITE_H

#include "base/view.h"
#include "tensor/graph.h"

/* "layer.*.output" fits "layer.3.output": "*" stands for digits. */
bool site_fits(view pattern, view name);
/* Does any pattern of a comma-separated list fit? */
bool site_is_listed(view patterns, view name);
/* usage.value: no site fits; lists those of the graph that are most like it. */
tkr_status site_fail(const graph *g, view patterns, const char *field, tkr_error *error);

#endif
