/*
 * Where models are: a folder's path, a name in the local hub cache, a bundled name; and the list of them all.
 */
#ifndef MODEL_LOCATE_H
#define MODEL_LOCATE_H

#include <tokray/model.h>

typedef struct location {
    char *path;         /* folder to open                                                     */
    char *name;         /* for display: escaped                                               */
    const char *source; /* "folder", "cache" or "bundled"                                     */
} location;

/* An existing path wins, then the bundled models (folders of TOKRAY_MODELS where it is set, else those fixed when the library was built;
 * lists are separated by ':'), then the hub cache (HF_HUB_CACHE, else HF_HOME/hub, else ~/.cache/huggingface/hub).
 * path.not_found names the nearest bundled models.  On success the caller ends with location_fini. */
tkr_status location_find(const char *name, location *out, tkr_error *error);
void location_fini(location *where);

#endif
