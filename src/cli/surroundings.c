/*
 * Terminal facts.
 *
 * Colour, first match wins: --color/--no-color; NO_COLOR; FORCE_COLOR or CLICOLOR_FORCE; TERM=dumb; not a terminal.
 * Theme: --theme or TOKRAY_THEME, COLORFGBG, then the terminal itself; silence means dark.
 * Known to go wrong: a reply that arrives late is typed into the shell, so the query is only sent where terminals answer, and
 * only a reply that begins with ESC ] is consumed.
 */
#include "cli/surroundings.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "cli/signals.h"

enum { WIDTH_UNKNOWN = 80, REPLY_ROOM = 64 };
static const double REPLY_SECONDS = 0.1;

double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static bool is_set(const char *name)
{
    const char *value = getenv(name);
    return value && *value;
}

static bool variable_is(const char *name, const char *value)
{
    const char *found = getenv(name);
    return found && strcmp(found, value) == 0;
}

static bool variable_has(const char *name, const char *part)
{
    const char *found = getenv(name);
    return found && strstr(found, part);
}

static bool wants_color(const arguments *a, bool is_terminal)
{
    const use *color = arguments_find(a, OPTION_COLOR), *no_color = arguments_find(a, OPTION_NO_COLOR);
    if (no_color && (!color || no_color->source > color->source || no_color > color))
        return false;
    if (color && strcmp(color->value, "auto") != 0)
        return strcmp(color->value, "always") == 0;
    if (is_set("NO_COLOR"))
        return false;
    if (is_set("FORCE_COLOR") || is_set("CLICOLOR_FORCE"))
        return true;
    return is_terminal && !variable_is("TERM", "dumb");
}

static tkr_color color_depth(void)
{
    if (variable_is("COLORTERM", "truecolor") || variable_is("COLORTERM", "24bit"))
        return TKR_COLOR_24BIT;
    return variable_has("TERM", "256color") ? TKR_COLOR_256 : TKR_COLOR_16;
}

/* Only where OSC 9;4 is known to mean progress: some terminals pop up a message for any OSC 9. */
static bool takes_taskbar(void)
{
    return !variable_is("TERM", "dumb") && (is_set("WT_SESSION") || variable_is("ConEmuANSI", "ON") ||
                                            variable_is("TERM_PROGRAM", "ghostty") || variable_is("TERM_PROGRAM", "WezTerm"));
}

static int terminal_width(const arguments *a)
{
    struct winsize size;
    uint64_t asked = arguments_number(a, OPTION_WIDTH, 0);
    if (asked)
        return (int)asked;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : WIDTH_UNKNOWN;
}

/* The locale as the environment names it; nothing said means UTF-8. */
static bool locale_is_ascii(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        if (!value || !*value)
            continue;
        if (strcmp(value, "C") == 0 || strcmp(value, "POSIX") == 0)
            return true;
        const char *charset = strchr(value, '.');
        return charset && strncasecmp(charset + 1, "utf-8", 5) != 0 && strncasecmp(charset + 1, "utf8", 4) != 0;
    }
    return false;
}

/* COLORFGBG is "foreground;background" or "foreground;other;background"; 7 and 15 are light. */
static bool theme_from_variable(bool *is_light)
{
    const char *value = getenv("COLORFGBG"), *last = value ? strrchr(value, ';') : NULL;
    if (!last || last[1] < '0' || last[1] > '9')
        return false;
    *is_light = strcmp(last + 1, "7") == 0 || strcmp(last + 1, "15") == 0;
    return true;
}

static void find_theme(surroundings *s, const arguments *a)
{
    s->theme_from = "default";
    if (arguments_is(a, OPTION_THEME, "light") || arguments_is(a, OPTION_THEME, "dark")) {
        s->is_light = arguments_is(a, OPTION_THEME, "light");
        s->theme_from = "option";
    } else if (theme_from_variable(&s->is_light)) {
        s->theme_from = "COLORFGBG";
    }
}

void surroundings_init(surroundings *s, const arguments *a)
{
    *s = (surroundings){.in_terminal = isatty(STDIN_FILENO), .out_terminal = isatty(STDOUT_FILENO),
                        .err_terminal = isatty(STDERR_FILENO)};
    if (wants_color(a, s->out_terminal))
        s->color = color_depth();
    s->err_color = wants_color(a, s->err_terminal);
    s->err_taskbar = s->err_terminal && takes_taskbar();
    s->ascii = arguments_has(a, OPTION_ASCII) || locale_is_ascii();
    s->width = terminal_width(a);
    find_theme(s, a);
}

/* ---- asking the terminal ---- */

static bool may_ask(const surroundings *s, const arguments *a)
{
    bool would_matter = s->color >= TKR_COLOR_256 && strcmp(s->theme_from, "default") == 0 && !arguments_is(a, OPTION_STYLE, "bars");
    return would_matter && s->in_terminal && s->out_terminal && !variable_is("TERM", "dumb") && !is_set("CI");
}

void background_ask(background *b, const surroundings *s, const arguments *a)
{
    static const char question[] = "\x1b]11;?\x1b\\";
    struct termios before, raw;
    *b = (background){.descriptor = -1};
    if (!may_ask(s, a))
        return;
    int terminal = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (terminal < 0 || tcgetattr(terminal, &before) != 0) {
        if (terminal >= 0)
            close(terminal);
        return;
    }
    raw = before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    signals_guard_terminal(terminal, &before);
    tcsetattr(terminal, TCSANOW, &raw);
    ssize_t ignored = write(terminal, question, sizeof question - 1);
    (void)ignored;
    *b = (background){terminal, seconds_now() + REPLY_SECONDS, before};
}

/* Reads up to the end of the reply (BEL or ESC \); false when it does not begin as one. */
static size_t read_reply(const background *b, char reply[REPLY_ROOM])
{
    size_t size = 0;
    while (size + 1 < REPLY_ROOM) {
        double left = b->deadline - seconds_now();
        struct pollfd wait = {.fd = b->descriptor, .events = POLLIN};
        if (poll(&wait, 1, left > 0 ? (int)(left * 1000) : 0) <= 0 || read(b->descriptor, reply + size, 1) != 1)
            break;
        size++;
        if (reply[0] != '\x1b' || (size > 1 && reply[1] != ']'))
            break;
        if (reply[size - 1] == '\a' || (size > 2 && reply[size - 2] == '\x1b' && reply[size - 1] == '\\'))
            break;
    }
    reply[size] = '\0';
    return size;
}

/* First two hexadecimal digits of a channel, as 0 to 255; *text moves past the channel. */
static int channel(const char **text)
{
    static const char digits[] = "0123456789abcdef";
    int value = 0, count = 0;
    for (; **text && **text != '/' && **text != '\x1b' && **text != '\a'; ++*text, count++) {
        const char *digit = memchr(digits, **text | ((**text >= 'A' && **text <= 'F') ? 32 : 0), 16);
        if (!digit)
            return -1;
        if (count < 2)
            value = value * 16 + (int)(digit - digits);
    }
    *text += **text == '/';
    return count >= 2 ? value : -1;
}

/* ESC ] 11 ; rgb:rrrr/gggg/bbbb: light when its luminance is above the middle. */
static bool reply_is_light(const char *reply, bool *is_light)
{
    const char *at = strstr(reply, "rgb:");
    if (strncmp(reply, "\x1b]11;", 5) != 0 || !at)
        return false;
    at += 4;
    int red = channel(&at), green = channel(&at), blue = channel(&at);
    if (red < 0 || green < 0 || blue < 0)
        return false;
    *is_light = 2126 * red + 7152 * green + 722 * blue > 1275000;
    return true;
}

void background_finish(background *b, surroundings *s)
{
    char reply[REPLY_ROOM];
    if (b->descriptor < 0)
        return;
    if (read_reply(b, reply) > 0 && reply_is_light(reply, &s->is_light))
        s->theme_from = "terminal";
    tcsetattr(b->descriptor, TCSANOW, &b->before);
    signals_release_terminal();
    close(b->descriptor);
    b->descriptor = -1;
}
