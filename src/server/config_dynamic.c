/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where the server lines are: in zoo.cfg, or in the file that dynamicConfigFile names. ZooKeeper's
 * reconfig writes each version of them to a file of its own, FILE.VERSION; what is here is not to
 * fall back to the servers of an older one. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "config.h"
#include "properties.h"
#include "zab/log.h"

/* ---- Lines ---- */

static int take_line(struct config *c, const char *path, const struct property *p, bool servers,
                     struct err *e)
{
    char where[CONFIG_WHERE_MAX];
    const char *id = strchr(p->key, '.') + 1;
    bool is_server = p->key[0] == 's';
    if (is_server != servers)
        return 0;
    snprintf(where, sizeof(where), "%s:%u", path, p->line);
    config_add_text(c, p->key, p->value);
    if (is_server)
        return ensemble_add(&c->ensemble, where, id, p->value, e);
    return p->key[0] == 'w' ? ensemble_set_weight(&c->ensemble, where, id, p->value, e)
                            : ensemble_set_group(&c->ensemble, where, id, p->value, e);
}

/* The server lines first, since the others speak of them. */
static int take_lines(struct config *c, const char *path, const struct properties *file,
                      struct err *e)
{
    int rc = 0;
    for (int servers = 1; servers >= 0; servers--) {
        for (size_t i = 0; rc == 0 && i < file->n; i++) {
            if (config_is_of_ensemble(file->list[i].key))
                rc = take_line(c, path, &file->list[i], servers, e);
        }
    }
    return rc;
}

/* ---- The file of its own ---- */

static bool parse_version(const char *text, int64_t *version)
{
    char *end;
    errno = 0;
    *version = strtoll(text, &end, 16);
    return errno == 0 && *text && strspn(text, "0123456789abcdefABCDEF") == strlen(text);
}

/* The newest FILE.VERSION beside FILE: its path, the caller's, or NULL if there is none. */
static char *find_newest(const char *path)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    char *dir = slash ? slice_dup_str(slice_of(path, (size_t)(slash - path) + 1)) : mem_strdup(".");
    char *newest = NULL;
    int64_t version, highest = -1;
    size_t len = strlen(base);
    DIR *d = opendir(dir);
    for (struct dirent *f; d && (f = readdir(d)) != NULL;) {
        if (strncmp(f->d_name, base, len) != 0 || f->d_name[len] != '.' ||
            !parse_version(f->d_name + len + 1, &version) || version <= highest)
            continue;
        struct buf name = {0};
        buf_printf(&name, "%s.%s", path, f->d_name + len + 1);
        free(newest);
        newest = (char *)name.data;
        highest = version;
    }
    if (d)
        closedir(d);
    free(dir);
    return newest;
}

static int check_key(struct config *c, const char *path, const struct property *p, struct err *e)
{
    char where[CONFIG_WHERE_MAX];
    config_where(path, p, where);
    if (config_is_of_ensemble(p->key))
        return 0;
    if (strcmp(p->key, "version") != 0)
        return err_set(
            e, -EINVAL,
            "%s: \"%s\" is not a key of this file, which has server, weight and group lines only; "
            "move it to %s",
            where, p->key, c->path);
    if (!parse_version(p->value, &c->version))
        return err_set(e, -EINVAL, "%s: version: \"%s\" is not a hexadecimal number", where,
                       p->value);
    return 0;
}

static int load_dynamic(struct config *c, const char *path, struct err *e)
{
    struct properties file;
    const char *dot = strrchr(path, '.');
    int rc = properties_load(&file, path, e);
    if (rc == -ENOENT)
        err_set(e, rc,
                "%s: dynamicConfigFile %s is not there; without its server lines nobody knows who "
                "the ensemble is",
                c->path, path);
    if (rc == 0 && (!dot || !parse_version(dot + 1, &c->version)))
        c->version = 0;
    for (size_t i = 0; rc == 0 && i < file.n; i++)
        rc = check_key(c, path, &file.list[i], e);
    if (rc == 0)
        rc = take_lines(c, path, &file, e);
    if (rc == 0 && c->ensemble.n == 0)
        rc = err_set(e, -EINVAL, "%s: dynamicConfigFile %s has no server line", c->path, path);
    properties_close(&file);
    return rc;
}

int config_take_servers(struct config *c, const struct properties *file, struct err *e)
{
    if (!c->dynamic_path) {
        for (size_t i = 0; i < file->n; i++) {
            char where[CONFIG_WHERE_MAX];
            if (config_is_of_ensemble(file->list[i].key))
                config_where(c->path, &file->list[i], where);
        }
        return take_lines(c, c->path, file, e);
    }
    for (size_t i = 0; i < file->n; i++) {
        if (config_is_of_ensemble(file->list[i].key))
            return err_set(e, -EINVAL, "%s:%u: %s must be in the file of dynamicConfigFile, %s",
                           c->path, file->list[i].line, file->list[i].key, c->dynamic_path);
    }
    char *newest = find_newest(c->dynamic_path);
    if (newest)
        log_info("%s: the servers are those of %s, the newest version", c->path, newest);
    int rc = load_dynamic(c, newest ? newest : c->dynamic_path, e);
    free(newest);
    return rc;
}
