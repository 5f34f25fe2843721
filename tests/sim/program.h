/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What programs have in common. */
#ifndef SIM_PROGRAM_H
#define SIM_PROGRAM_H

#include "mountpoint.h"

struct program {
    struct mountpoint *m;
    struct process *p;
    void (*run)(struct program *g);
};

/* All in a task of the program's. */
void program_pause(struct world *w, int64_t ms);
int64_t sys(struct process *p, struct call *c);
int64_t sys_open(struct process *p, const char *path, int flags);
int64_t sys_close(struct process *p, int fd);
int64_t sys_path(struct process *p, enum call_type type, const char *path);
int64_t sys_write(struct process *p, int fd, struct slice data);
int64_t sys_read_all(struct process *p, int fd, struct buf *out);
struct process *program_process(struct mountpoint *m, const char *name);

/* mount_command.c */
bool mount_command(struct world *w, const char *line);
void mount_commands_begin(void);
bool mount_commands_ended(const struct world *w);

/* mount_call.c: false if it is not understood. */
bool mount_call(struct process *p, const char *name, char *fields);

/* program.c: what closing it said; `line` is what was appended */
int64_t append_line(struct program *g, const char *path, char *line, size_t size);

/* follow.c */
void follow_log(struct program *g);

/* own_file.c */
void own_file(struct program *g);

#endif
