/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Each line is formatted on the stack and written with one write(2), so that lines of several
 * threads do not mix. Who finds the limit's lock taken does without it: nobody waits for a log
 * line, and a child process may have been forked while another thread held it. */
#include "zab/log.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "zab/log_limit.h"

static atomic_int max_level = LOG_LEVEL_INFO;

static const char *const level_names[] = {"error", "warn", "info", "debug"};

void log_set_level(enum log_level level)
{
    atomic_store(&max_level, (int)level);
}

int log_level_parse(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
        if (strcmp(name, level_names[i]) == 0)
            return (int)i;
    }
    return -1;
}

/* A line break inside of a message would forge a second line. */
static void mask_control(char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
            s[i] = '?';
    }
}

static pthread_mutex_t limit_lock = PTHREAD_MUTEX_INITIALIZER;
static struct log_limit limit;

static int64_t monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void write_line(enum log_level level, const char *text)
{
    char line[1024];
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    size_t len = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &tm);
    len += (size_t)snprintf(line + len, sizeof(line) - len, ".%03ldZ %-5s ", now.tv_nsec / 1000000,
                            level_names[level]);
    size_t size = MIN(strlen(text), sizeof(line) - len - 1);
    memcpy(line + len, text, size);
    mask_control(line + len, size);
    len += size;
    line[len++] = '\n';
    if (write(STDERR_FILENO, line, len) < 0)
        return; /* nowhere left to say it */
}

/* With the lock. */
static void say_suppressed(int64_t now_ms, bool all)
{
    struct log_limit_kind k;
    while (log_limit_next(&limit, now_ms, all, &k)) {
        char text[LOG_LIMIT_SAMPLE + 64];
        snprintf(text, sizeof(text), "%" PRIu64 " more like it suppressed: %s", k.suppressed,
                 k.sample);
        write_line((enum log_level)k.level, text);
    }
}

static bool is_admitted(enum log_level level, const char *text)
{
    if (level == LOG_LEVEL_DEBUG || pthread_mutex_trylock(&limit_lock) != 0)
        return true;
    int64_t now_ms = monotonic_ms();
    say_suppressed(now_ms, false);
    bool admitted = log_limit_admits(&limit, text, (int)level, level == LOG_LEVEL_ERROR, now_ms);
    pthread_mutex_unlock(&limit_lock);
    return admitted;
}

void log_tick(bool last)
{
    if (pthread_mutex_trylock(&limit_lock) != 0)
        return;
    say_suppressed(monotonic_ms(), last);
    pthread_mutex_unlock(&limit_lock);
}

void log_line(enum log_level level, const char *fmt, ...)
{
    char text[960];
    va_list ap;
    if ((int)level > atomic_load(&max_level))
        return;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (n >= 0 && is_admitted(level, text))
        write_line(level, text);
}
