/* Seconds of the monotonic clock, and the wall clock as UTC text. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H
double clock_seconds(void);
char *clock_utc(char out[32]); /* 2026-01-31T12:00:00Z */
#endif
