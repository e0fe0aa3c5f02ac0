/* What the program is connected to: terminals, their colours, width, characters and theme. */
#ifndef CLI_SURROUNDINGS_H
#define CLI_SURROUNDINGS_H

#include <termios.h>
#include <tokray/present.h>

#include "cli/arguments.h"

typedef struct surroundings {
    bool in_terminal, out_terminal, err_terminal;
    tkr_color color;      /* of standard output */
    bool err_color;
    bool err_taskbar;     /* the terminal takes progress for the taskbar (OSC 9;4) */
    bool ascii;
    bool is_light;
    int width;
    const char *theme_from; /* "option", "COLORFGBG", "terminal", "default": for doctor */
} surroundings;

void surroundings_init(surroundings *s, const arguments *a);

/* Ask the terminal for its background (OSC 11); the answer is read later, so that the time is used meanwhile. */
typedef struct background {
    int descriptor;        /* /dev/tty, or -1: nothing was asked */
    double deadline;
    struct termios before; /* its mode, to be put back */
} background;
void background_ask(background *b, const surroundings *s, const arguments *a);
/* Waits for what is left of the 100 ms, puts the terminal back and sets is_light.  May be called again. */
void background_finish(background *b, surroundings *s);

/* Seconds of the monotonic clock. */
double seconds_now(void);

#endif
