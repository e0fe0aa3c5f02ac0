/* How much memory a run may take when the user does not say, and how many rows run at once. */
#ifndef EXPLAIN_LIMITS_H
#define EXPLAIN_LIMITS_H

#include <stddef.h>
#include <stdint.h>

#include "model/family.h"

/* 80 % of what is available now, within the control group's limit. */
uint64_t limits_default_memory(void);

/* Rows whose widest activation stays near the second-level cache: enough for the products to reach their full rate. */
size_t limits_batch_rows(const family_config *config);

#endif
