/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A run that failed, made smaller: fewer steps, kinds of faults and clients, as long as it ends in
 * the same way. Less of one kind makes another run of it, so what is left need not be the least. */
#include "sim.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    TRIES_MAX = 100,
    STEPS_MIN = 50,
};

static unsigned tries;

/* Does it end with this status? Nobody hears what it says. */
static bool ends_so(const struct sim_options *o, int status)
{
    int result;
    if (tries++ >= TRIES_MAX)
        return false;
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        world_run(o);
        _exit(SIM_FINE);
    }
    ensure(pid > 0 && waitpid(pid, &result, 0) == pid);
    return WIFEXITED(result) && WEXITSTATUS(result) == status;
}

static void keep_if(struct sim_options *least, struct sim_options less, int status)
{
    if (ends_so(&less, status))
        *least = less;
}

void shrink(const struct sim_options *failed, int status)
{
    struct sim_options least = *failed, less;
    tries = 0;
    for (uint64_t steps = failed->steps / 2; steps >= STEPS_MIN; steps /= 2) {
        less = least;
        less.steps = steps;
        keep_if(&least, less, status);
    }
    for (unsigned i = 0; i < faults_kinds(); i++) {
        less = least;
        less.without |= UINT64_C(1) << i;
        keep_if(&least, less, status);
    }
    for (unsigned n = 4; n > 0; n--) {
        less = least;
        less.clients = n;
        keep_if(&least, less, status);
    }
    fprintf(stderr, "smallest, of %u runs: ", tries);
    options_print(&least, stderr);
}
