/*
 * Presenting: a result as JSON, CSV, TSV or terminal text, into a sink.
 *
 * Presenters compute nothing; they choose by the axes of the arrays.  No byte of user text reaches a terminal unescaped.
 */
#ifndef TOKRAY_PRESENT_H
#define TOKRAY_PRESENT_H

#include <tokray/explain.h>
#include <tokray/result.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Receives the output in order.  Return false to stop (the call then ends with TKR_E_IO_WRITE). */
typedef bool tkr_sink_fn(void *user, const char *bytes, size_t count);

typedef enum tkr_color { TKR_COLOR_NONE = 0, TKR_COLOR_16, TKR_COLOR_256, TKR_COLOR_24BIT } tkr_color;
typedef enum tkr_style { TKR_STYLE_AUTO = 0, TKR_STYLE_HEAT, TKR_STYLE_BARS, TKR_STYLE_PLAIN } tkr_style;
typedef enum tkr_special_view { TKR_SPECIAL_FOLD = 0, TKR_SPECIAL_SHOW, TKR_SPECIAL_HIDE } tkr_special_view;

typedef struct tkr_terminal_options {
    int width;            /* columns; 0: 80                                  */
    tkr_color color;
    tkr_style style;      /* AUTO: heat with 256 colours or more, else bars  */
    bool is_light;        /* theme                                           */
    bool ascii;           /* nothing outside ASCII but the user's own text   */
    bool is_brief;        /* the short form that pipes and --quiet get       */
    bool full_table;      /* rank, position, token, id, score, Helpful/Harmful, totals */
    tkr_special_view special;
    size_t top;           /* rows in tables; 0: 10                           */
    unsigned char reserved[64];
} tkr_terminal_options;
TKR_API tkr_terminal_options tkr_terminal_options_defaults(void);

TKR_API tkr_status tkr_present_terminal(const tkr_result *result, const tkr_terminal_options *options, tkr_sink_fn *sink,
                                        void *user, tkr_error *error);

typedef struct tkr_json_options {
    bool compact;         /* one line                                                              */
    bool reproducible;    /* leave out created, seconds, threads, peak_memory_bytes                 */
    const char *const *command; /* argv for provenance.command, ends with NULL; NULL: left out      */
    size_t top;           /* entries in methods[].top; 0: 10                                       */
    unsigned char reserved[64];
} tkr_json_options;
TKR_API tkr_json_options tkr_json_options_defaults(void);

/* Schema tokray.result/1 (docs/result.md). */
TKR_API tkr_status tkr_present_json(const tkr_result *result, const tkr_json_options *options, tkr_sink_fn *sink, void *user,
                                    tkr_error *error);

typedef struct tkr_table_options {
    bool tab_separated;   /* TSV with backslash escapes instead of RFC 4180 CSV           */
    bool spreadsheet_safe; /* put ' before text that a spreadsheet would take for a formula */
    bool full_table;      /* the closing table: features ranked, with position, token ids and effect, then totals */
    unsigned char reserved[63];
} tkr_table_options;
TKR_API tkr_table_options tkr_table_options_defaults(void);

/* Tidy table, one row a number: prompt,row,target,method,i,token,start,end,word,score,stderr,share,special,step; full_table adds
 * kind,rank,position,id,effect, and methods that score pairs add j,token_j (docs/result.md). */
TKR_API tkr_status tkr_present_table(const tkr_result *result, const tkr_table_options *options, tkr_sink_fn *sink, void *user,
                                     tkr_error *error);

/* Text made safe for a terminal: control characters, bidirectional overrides and bytes that are no UTF-8 become visible
 * escapes.  Writes at most capacity bytes with the NUL, never half a character; returns out. */
TKR_API char *tkr_escape(char *out, size_t capacity, const char *bytes, size_t count);

/* Terminal columns a UTF-8 text takes (wide characters two, combining ones none). */
TKR_API size_t tkr_columns(const char *text, size_t count);

#ifdef __cplusplus
}
#endif
#endif
