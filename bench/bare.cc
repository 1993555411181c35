// A library that does nothing: each call of the program goes on to the next
// definition of malloc, and a thread sleeps.  What it costs is what any library
// costs that stands between a program and its allocator and can be asked.
#include <pthread.h>
#include <unistd.h>

extern "C" void *dlsym(void *handle, const char *name) noexcept;

static void *next_definition(const char *name)
{
	return dlsym(reinterpret_cast<void *>(-1L), name); // RTLD_NEXT
}

// Each starts as a function that finds the next one and then calls it.
#define JUMP(type, name, parameters, arguments)                                                    \
	static type first_##name parameters;                                                       \
	static type(*next_##name) parameters = first_##name;                                       \
	static type first_##name parameters                                                        \
	{                                                                                          \
		next_##name = reinterpret_cast<type(*) parameters>(next_definition(#name));        \
		return next_##name arguments;                                                      \
	}                                                                                          \
	extern "C" __attribute__((aligned(64))) type name parameters noexcept                      \
	{                                                                                          \
		return next_##name arguments;                                                      \
	}

JUMP(void *, malloc, (unsigned long size), (size))
JUMP(void *, calloc, (unsigned long count, unsigned long size), (count, size))
JUMP(void *, realloc, (void *p, unsigned long size), (p, size))
JUMP(void, free, (void *p), (p))

static void *sleep_for_ever(void *unused)
{
	for (;;)
		pause();
	return unused;
}

__attribute__((constructor)) static void start()
{
	pthread_t thread;

	pthread_create(&thread, nullptr, sleep_for_ever, nullptr);
}
