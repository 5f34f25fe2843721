/* SPDX-License-Identifier: GPL-3.0-or-later */
/* sim: runs of the simulator, from seeds or from a script. The seeds of a swarm are shared out
 * among processes; what they have covered comes together at the end. */
#include "sim.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    STEPS = 4000,
    SWARM = 300, /* so many seeds must cover all that is listed */
};

static void on_crash(int sig)
{
    signal(sig, SIG_DFL);
    fflush(stdout);
    world_dump();
    fprintf(stderr, "crashed: signal %d\n", sig);
    _exit(SIM_CRASHED);
}

static void run_seeds(struct sim_options options, const struct sim_seeds *seeds, unsigned job)
{
    for (uint64_t seed = seeds->from + job; seed <= seeds->to; seed += seeds->jobs) {
        options.seed = seed;
        world_run(&options);
    }
}

static pid_t start_job(const struct sim_options *options, const struct sim_seeds *seeds,
                       unsigned job, struct cover_count *counts)
{
    pid_t pid = fork();
    if (pid == 0) {
        coverage_begin(counts);
        run_seeds(*options, seeds, job);
        fflush(stdout);
        _exit(SIM_FINE);
    }
    ensure(pid > 0);
    return pid;
}

/* The status of the first that failed, which ends the others. */
static int wait_for_jobs(pid_t *pids, unsigned n)
{
    int result = SIM_FINE, status;
    for (pid_t pid; (pid = wait(&status)) > 0;) {
        int code = WIFEXITED(status) ? WEXITSTATUS(status) : SIM_CRASHED;
        for (unsigned i = 0; i < n; i++) {
            if (pids[i] == pid)
                pids[i] = 0;
            else if (pids[i] > 0 && code != SIM_FINE && result == SIM_FINE)
                kill(pids[i], SIGKILL);
        }
        if (result == SIM_FINE)
            result = code;
    }
    return result;
}

static int run_jobs(const struct sim_options *options, const struct sim_seeds *seeds)
{
    size_t size = COVER_SLOTS * sizeof(struct cover_count);
    struct cover_count *counts =
        mmap(NULL, seeds->jobs * size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pids[64];
    ensure(counts != MAP_FAILED);
    for (unsigned i = 0; i < seeds->jobs; i++)
        pids[i] = start_job(options, seeds, i, counts + (size_t)i * COVER_SLOTS);
    int status = wait_for_jobs(pids, seeds->jobs);
    for (unsigned i = 0; i < seeds->jobs; i++)
        coverage_add(counts + (size_t)i * COVER_SLOTS);
    munmap(counts, seeds->jobs * size);
    return status;
}

int main(int argc, char **argv)
{
    struct sim_options options = {.steps = STEPS};
    struct sim_seeds seeds = {1, 1, 1, false};
    int status = SIM_FINE;
    options_parse(argc, argv, &options, &seeds);
    signal(SIGABRT, on_crash);
    signal(SIGSEGV, on_crash);
    signal(SIGBUS, on_crash);
    signal(SIGFPE, on_crash);
    if (seeds.jobs > 1)
        status = run_jobs(&options, &seeds);
    else
        run_seeds(options, &seeds, 0);
    if (seeds.coverage)
        coverage_print(stdout);
    bool swarm = seeds.to - seeds.from + 1 >= SWARM && !options.script && !options.operators &&
                 options.voters == 0;
    if (status == SIM_FINE && swarm && !coverage_is_whole(stderr))
        status = SIM_UNCOVERED;
    return status;
}
