/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the commands print: text for people, and the same as JSON. 64-bit ids are strings in JSON,
 * since not every reader keeps them whole as numbers. */
#include "cli.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

void cli_error(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("zabctl: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
}

void cli_print_slice(struct slice s)
{
    fwrite(s.data, 1, slice_size(s), stdout);
}

const char *cli_time_text(int64_t time_ms)
{
    static char text[64];
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm tm;
    size_t len =
        gmtime_r(&seconds, &tm) ? strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm) : 0;
    snprintf(text + len, sizeof(text) - len, ".%03dZ", (int)(time_ms % 1000));
    return text;
}

const char *cli_kind_text(const struct zk_stat *stat)
{
    return stat->ephemeral_owner == 0 ? "persistent" : "ephemeral";
}

/* ---- Stat ---- */

/* Name, kind of its value, member. */
#define STAT_FIELDS(F)                                                                             \
    F("czxid", id, czxid)                                                                          \
    F("mzxid", id, mzxid)                                                                          \
    F("pzxid", id, pzxid)                                                                          \
    F("ctime", time, ctime)                                                                        \
    F("mtime", time, mtime)                                                                        \
    F("version", number, version)                                                                  \
    F("cversion", number, cversion)                                                                \
    F("aversion", number, aversion)                                                                \
    F("ephemeralOwner", id, ephemeral_owner)                                                       \
    F("dataLength", number, data_length)                                                           \
    F("numChildren", number, num_children)

static void text_id(const char *name, int64_t v)
{
    printf("%s: 0x%" PRIx64 "\n", name, (uint64_t)v);
}

static void text_time(const char *name, int64_t v)
{
    printf("%s: %s\n", name, cli_time_text(v));
}

static void text_number(const char *name, int64_t v)
{
    printf("%s: %" PRId64 "\n", name, v);
}

void cli_print_stat(const struct zk_stat *stat)
{
#define TEXT_FIELD(name, kind, member) text_##kind(name, stat->member);
    STAT_FIELDS(TEXT_FIELD)
    printf("kind: %s\n", cli_kind_text(stat));
}

static json_t *json_id(int64_t v)
{
    return json_sprintf("0x%" PRIx64, (uint64_t)v);
}

static json_t *json_time(int64_t v)
{
    return json_string(cli_time_text(v));
}

static json_t *json_number_of(int64_t v)
{
    return json_integer(v);
}
#define json_number json_number_of

json_t *cli_json_stat(const struct zk_stat *stat)
{
    json_t *object = json_object();
#define JSON_FIELD(name, kind, member) json_object_set_new(object, name, json_##kind(stat->member));
    STAT_FIELDS(JSON_FIELD)
    json_object_set_new(object, "kind", json_string(cli_kind_text(stat)));
    return object;
}

/* ---- JSON ---- */

json_t *cli_json_slice(struct slice s)
{
    return slice_is_null(s) ? json_null() : json_stringn((const char *)s.data, slice_size(s));
}

static json_t *json_base64(struct slice s)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct buf text = {0};
    for (size_t i = 0; i < slice_size(s); i += 3) {
        size_t left = slice_size(s) - i;
        uint32_t group = (uint32_t)s.data[i] << 16;
        group |= left > 1 ? (uint32_t)s.data[i + 1] << 8 : 0;
        group |= left > 2 ? s.data[i + 2] : 0;
        uint8_t *out = buf_extend(&text, 4);
        out[0] = (uint8_t)digits[group >> 18];
        out[1] = (uint8_t)digits[group >> 12 & 63];
        out[2] = left > 1 ? (uint8_t)digits[group >> 6 & 63] : '=';
        out[3] = left > 2 ? (uint8_t)digits[group & 63] : '=';
    }
    json_t *json = cli_json_slice(buf_slice(&text));
    buf_close(&text);
    return json;
}

void cli_json_set_data(json_t *object, struct slice data)
{
    json_t *text = cli_json_slice(data); /* NULL if it is not UTF-8 */
    if (text)
        json_object_set_new(object, "data", text);
    else
        json_object_set_new(object, "base64", json_base64(data));
}

void cli_json_print(json_t *json)
{
    json_dumpf(json, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
    putchar('\n');
    json_decref(json);
}

int cli_flush(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return 0;
    if (errno != EPIPE)
        cli_error("standard output: %s", strerror(errno));
    return CLI_FAILED;
}
