/* Showing a result: what explain and demo share. */
#ifndef CLI_ANSWER_H
#define CLI_ANSWER_H

#include "cli/cli.h"

tkr_session_options answer_session_options(cli *c);
/* How a command wants a result shown when nothing else is asked for. */
typedef struct answer_look {
    size_t rows;   /* of tables; 0: the usual number   */
    bool is_brief; /* the short form on a terminal too */
} answer_look;
/* On standard output; nothing under -qq. */
tkr_status answer_show(cli *c, const tkr_result *result, answer_look look);
/* Warnings on standard error; num.warning under --strict when there are any. */
tkr_status answer_warn(cli *c, const tkr_result *result);
/* -v: times, evaluations, memory. */
void answer_costs(cli *c, const tkr_result *result, double seconds);

#endif
