/* Showing a result: what explain and demo share. */
#ifndef CLI_ANSWER_H
#define CLI_ANSWER_H

#include "cli/cli.h"

tkr_session_options answer_session_options(cli *c);
/* On standard output; nothing under -qq.  rows: of tables when --top is not given; 0: the usual number. */
tkr_status answer_show(cli *c, const tkr_result *result, size_t rows);
/* Warnings on standard error; num.warning under --strict when there are any. */
tkr_status answer_warn(cli *c, const tkr_result *result);
/* -v: times, evaluations, memory. */
void answer_costs(cli *c, const tkr_result *result, double seconds);

#endif
