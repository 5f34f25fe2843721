/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A small table of kinds. When it is full the kind whose second began first gives way, and what was
 * suppressed of it goes on in the count of the new one's place: no line is lost without a number.
 */
#include "zab/log_limit.h"

#include <stdio.h>
#include <string.h>

/* Letters of hexadecimal numbers are left out everywhere: that makes no two sentences alike. */
static bool is_number(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || c == 'x' || c == '.' || c == ':' ||
           c == '[' || c == ']';
}

static uint64_t kind_of(const char *text)
{
    uint64_t hash = 0xcbf29ce484222325;
    bool quoted = false;
    for (; *text; text++) {
        quoted = quoted != (*text == '"');
        if (!quoted && !is_number(*text))
            hash = (hash ^ (unsigned char)*text) * 0x100000001b3;
    }
    return hash ? hash : 1;
}

static bool is_over(int64_t since_ms, int64_t now_ms)
{
    return now_ms - since_ms >= LOG_LIMIT_WINDOW_MS || now_ms < since_ms;
}

/* The kind's place: its own, an unused one, or the oldest. */
static struct log_limit_kind *place_of(struct log_limit *l, uint64_t hash)
{
    struct log_limit_kind *place = &l->kinds[0];
    for (size_t i = 0; i < LOG_LIMIT_KINDS; i++) {
        struct log_limit_kind *k = &l->kinds[i];
        if (k->hash == hash)
            return k;
        if (place->hash != 0 && (k->hash == 0 || k->since_ms < place->since_ms))
            place = k;
    }
    return place;
}

bool log_limit_admits(struct log_limit *l, const char *text, int level, bool urgent, int64_t now_ms)
{
    uint64_t hash = kind_of(text);
    struct log_limit_kind *k = place_of(l, hash);
    if (k->hash != hash || is_over(k->since_ms, now_ms)) {
        k->hash = hash;
        k->since_ms = now_ms;
        k->n = 0;
    }
    if (is_over(l->since_ms, now_ms)) {
        l->since_ms = now_ms;
        l->n = 0;
    }
    bool admitted = k->n < LOG_LIMIT_PER_KIND && (urgent || l->n < LOG_LIMIT_IN_ALL);
    if (admitted) {
        k->n++;
        l->n += !urgent;
        return true;
    }
    if (k->suppressed++ == 0) {
        k->level = level;
        snprintf(k->sample, sizeof(k->sample), "%s", text);
    }
    return false;
}

bool log_limit_next(struct log_limit *l, int64_t now_ms, bool all, struct log_limit_kind *out)
{
    for (size_t i = 0; i < LOG_LIMIT_KINDS; i++) {
        struct log_limit_kind *k = &l->kinds[i];
        if (k->suppressed == 0 || !(all || is_over(k->since_ms, now_ms)))
            continue;
        *out = *k;
        k->suppressed = 0;
        return true;
    }
    return false;
}
