/* Word lists and how they are joined. */
#include "bench/sentences.h"

#include <stdio.h>
#include <string.h>

enum { WORDS = 10 };

/* Subject, verdict; two in three go on, and every fourth ends in a reason. */
void sentence_make(size_t i, bool has_mask, char out[SENTENCE_BYTES])
{
    static const char *const subjects[WORDS] = {"the film", "this story", "the second act", "her first novel", "the cast",
                                                "the old camera", "every scene at the harbour", "the service", "the music",
                                                "his long speech about the war"};
    static const char *const verdicts[WORDS] = {"is a quiet joy", "was dull and slow", "never finds its feet",
                                                "works better than it should", "left me cold", "is clever but empty",
                                                "feels honest and warm", "is not bad at all", "wastes a good idea",
                                                "kept us laughing to the end"};
    static const char *const turns[WORDS] = {"but the ending is superb", "and nobody seems to care", "yet i would watch it again",
                                             "although the jokes are stale", "and the actors are wonderful",
                                             "but it is far too long", "while the dialogue rings true", "and that is a pity",
                                             "even if the plot makes no sense", "but the children loved it"};
    static const char *const reasons[WORDS] = {"because somebody finally took the time to listen", "for lack of any fresh thought",
                                               "thanks to a brave young director", "since the script falls apart in the last hour",
                                               "and i left the room smiling", "which is more than i had hoped for",
                                               "as if it had been made in a hurry", "with pictures that stay in the mind",
                                               "so save your money for something else", "and it deserves a larger audience"};
    const size_t a = i % WORDS, b = (i / WORDS + i) % WORDS, c = (3 * i + i / WORDS) % WORDS, d = (7 * i + 2 * (i / WORDS)) % WORDS;
    const bool goes_on = i % 3 != 0, has_reason = i % 4 == 1;
    snprintf(out, SENTENCE_BYTES, "%s %s%s%s%s%s .", subjects[a], verdicts[b], goes_on ? " , " : "", goes_on ? turns[c] : "",
             has_reason ? " , " : "", has_reason ? reasons[d] : "");
    char *last = has_mask ? strrchr(out, ' ') : NULL; /* before the full stop */
    while (last && last > out && last[-1] != ' ')
        last--;
    if (last)
        memcpy(last, "[MASK] .", sizeof "[MASK] .");
}
