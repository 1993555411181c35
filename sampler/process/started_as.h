/* process: threads, mappings and loaded objects of the process.  May include base and below. */
/*
 * The name under which the program was started.  /proc/self/exe is the file that
 * a symbolic link led to (python3 is python3.11, sh is dash): true, and not what a
 * user asked for.
 */
#ifndef SAMPLER_PROCESS_STARTED_AS_H
#define SAMPLER_PROCESS_STARTED_AS_H

/*
 * `name` is what was executed (AT_EXECFN), relative to the directory at hand.
 * Remembered when it leads to the running file and is called otherwise; a script's
 * name leads elsewhere.  Context: init.
 */
void started_as_init(const char *name);

/* The path to show for the executable `path`.  Context: listener. */
const char *started_as(const char *path);

#endif
