# pprofshim.  One file, no recursion, all output in build/.
# `make help` lists the targets: the text behind ## of each.

BUILD      ?= build
PREFIX     ?= /usr/local
PPROF_PORT ?= 6060
TARGET     ?= chat
CLANG      ?= clang
ifeq ($(origin CC),default)
CC = gcc
endif
ifeq ($(origin CXX),default)
CXX = g++
endif
VERSION = 0.1.0

# ---- flags

CPPFLAGS += -I. -I$(BUILD)/proto -I$(LIBS)/libunwind/include -D_GNU_SOURCE \
	    -DPPROFSHIM_VERSION='"$(VERSION)"'

# The shim lives in somebody else's process: nothing that others could bind to,
# nothing that asks for a newer libc, and tables so that exceptions pass through.
CODE = -std=gnu17 -O2 -g -fPIC -fvisibility=hidden -ftls-model=initial-exec \
       -fno-semantic-interposition -fno-stack-protector -U_FORTIFY_SOURCE -fcf-protection \
       -fexceptions -fasynchronous-unwind-tables -ffunction-sections -fdata-sections -pthread

WARN = -Wall -Wextra -Wshadow -Wpointer-arith -Wcast-qual -Wwrite-strings -Wundef -Wvla \
       -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wformat=2 \
       -Wimplicit-fallthrough -Wlogical-op -Wduplicated-cond -Wduplicated-branches -Walloca
ifdef DEVELOPER
WARN += -Werror
endif

# No start files, so that no code of ours runs when the target exits.  Code and
# constants are one segment: each area of memory makes a fork of the target dearer,
# by 1 to 2 us for one with a file.  All that is linked in keeps a shadow stack
# intact; whether it has landing pads for indirect branches too depends on the
# distribution's archives, and ld finds out.
LINK = -shared -nostartfiles -static-libgcc -pthread -Wl,-soname,libpprofshim.so -Wl,--build-id \
       -Wl,-z,now -Wl,-z,relro -Wl,-z,nodelete -Wl,-z,noexecstack -Wl,-z,shstk -Wl,-z,defs \
       -Wl,-z,noseparate-code \
       -Wl,--exclude-libs,ALL -Wl,-Bsymbolic -Wl,--version-script=$(BUILD)/exports.map \
       -Wl,--gc-sections -Wl,--as-needed

# ---- what there is

SO    = $(BUILD)/libpprofshim.so
ATTACH = $(BUILD)/pprof-attach
LIBS  = build# other people's libraries, shared by all values of BUILD
PB    = $(BUILD)/proto/profile.pb-c
VIEW  = $(BUILD)/view/view_page.c
BOUND = $(addprefix $(LIBS)/lib/,libunwind-x86_64.a libunwind.a libz.a libzstd.a liblzma.a \
	libprotobuf-c.a libiberty.a)

# Paths below a build folder, so that each way of compiling can have its own.
objects  = $(addsuffix .o,$(basename $(wildcard $(1))))
UNIT_C   = $(wildcard test/unit/*/test_*.c)
ATTACH_OBJ = $(call objects,shim/attach/*.c shim/attach/arch/*.c)
# What it has of the library's.
ATTACH_BASE = sampler/base/status.o sampler/base/number.o
SHIM_OBJ = $(filter-out $(ATTACH_OBJ),$(call objects,shim/*.c shim/*/*.[cS]))
CORE_OBJ = $(call objects,sampler/*/*.[cS] http/*.c proto/*.c) profile.pb-c.o view_page.o
# Files whose code runs in the signal handler: `make gates` looks at what they call.
HANDLER_OBJ = $(filter %_handler.o,$(CORE_OBJ))
HELP_OBJ = $(call objects,$(filter-out $(UNIT_C),$(wildcard test/unit/*/*.c))) \
	   $(filter-out shim/attach/main.o,$(ATTACH_OBJ)) $(addprefix shim/,settings.o unknown_settings.o real/import_table.o real/lookup.o real/real.o real/slots_write.o life/filter.o life/calls.o life/own_thread.o)
UNIT     = $(patsubst test/unit/%.c,unit/%,$(UNIT_C))
FUZZ     = $(patsubst test/fuzz/%.c,%,$(wildcard test/fuzz/fuzz_*.c))

BENCH    = $(patsubst %.c,$(BUILD)/%,$(wildcard bench/*.c))
E2E      = $(wildcard test/e2e/test_*.sh test/e2e/test_*.py)
STORM    = $(wildcard test/storm/*.sh test/storm/*.py)
FIXTURES = $(patsubst test/%,$(BUILD)/%,$(patsubst %_plugin,%_plugin.so,\
	   $(basename $(wildcard test/fixtures/*.c test/fixtures/*.cc test/fixtures/*.rs))))
CHAT     = $(addprefix $(BUILD)/fixtures/,chat_server chat_load)
SOURCES  = $(foreach d,include shim shim/* shim/*/arch sampler/* http proto bench test/* test/unit/*,$(wildcard $(d)/*.[ch] $(d)/*.cc))
SCRIPTS  = $(wildcard *.sh .ci/run .ci/*.sh bench/*.sh http/*/*.sh test/*/*.sh)

# What the goals of this run need from Debian.  It is installed before anything is
# built, all of it in one round; a single file of a test needs what tests need.
GOALS = $(or $(MAKECMDGOALS),all)
needs = $(if $(filter $(2),$(GOALS)),$(1))
NEEDS = build $(call needs,demo,demo) $(call needs,ab,ab) $(call needs,gates,gates test e2e) $(call needs,dev,lint fuzz format) \
	$(call needs,bench,bench bench-quick) \
	$(call needs,test,test unit e2e storm asan ubsan tsan bench bench-quick \
		$(addprefix $(BUILD)/,unit/% asan/% ubsan/% tsan/% fixtures/%))

export BUILD PREFIX DESTDIR PPROF_PORT TARGET CC

# Short lines; V=1 shows the commands.
say = $(if $(V),,@printf '  %-5s %s\n' $(1) $@; )

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: FORCE

# ---- build

all: $(SO) $(ATTACH) ## Build build/libpprofshim.so and build/pprof-attach (DEVELOPER=1 makes warnings errors)

# Names with a version get it; the others are exported because their source says
# EXPORT, and a gate compares them with the list.
$(BUILD)/exports.map: shim/exports.txt
	@mkdir -p $(@D)
	@awk -F@@ 'NF > 1 { of[$$2] = of[$$2] " " $$1 ";" } \
		END { for (v in of) print v " { global:" of[v] " local: __start_*; __stop_*; };" }' $< >$@

# One way of compiling: $(1) is its folder, $(2) the compiler, $(3) its flags.
# core.a holds everything but shim/, for programs that test it.
quoted = '$(subst ','\'',$(1))'
sanitizer = $(filter -fsanitize=%,$(3))
define variant
$(1)/%.o: %.c $(1)/flags | $(PB).h $(LIBS)/lib/bind.syms
	@mkdir -p $$(@D)
	$$(call say,CC)$(2) $$(CPPFLAGS) $$(CODE) $(3) $$(CFLAGS) -MMD -MP -c -o $$@ $$<

$(1)/%.o: %.S $(1)/flags | need
	@mkdir -p $$(@D)
	$$(call say,CC)$(2) $$(CPPFLAGS) $$(CODE) -MMD -MP -c -o $$@ $$<

$(1)/profile.pb-c.o: $(PB).h $(1)/flags Makefile
	$$(call say,CC)$(2) $$(CPPFLAGS) -D__assert_fail=pprofshim_lib___assert_fail \
		$$(CODE) $(sanitizer) $$(CFLAGS) -c -o $$@ $(PB).c

$(1)/view_page.o: $(VIEW) $(1)/flags
	@mkdir -p $$(@D)
	$$(call say,CC)$(2) $$(CPPFLAGS) $$(CODE) $(3) $$(CFLAGS) -c -o $$@ $$<

$(1)/libpprofshim.so: $(SHIM_OBJ:%=$(1)/%) $(CORE_OBJ:%=$(1)/%) $(LIBS)/lib/bind.syms $(BUILD)/exports.map .ci/early.sh
	$$(call say,LINK)$(2) $$(LINK) $$(LDFLAGS) -o $$@ $$(filter %.o,$$^) -Wl,--start-group $(BOUND) -Wl,--end-group
	@.ci/early.sh $$@

$(1)/pprof-attach: $(ATTACH_OBJ:%=$(1)/%) $(ATTACH_BASE:%=$(1)/%)
	$$(call say,LINK)$(2) $(sanitizer) $$(LDFLAGS) -o $$@ $$^

$(1)/libpprofshim-core.a: $(CORE_OBJ:%=$(1)/%)
	@rm -f $$@
	$$(call say,AR)$(AR) qcs $$@ $$^

$(1)/unit/%: $(1)/test/unit/%.o $(HELP_OBJ:%=$(1)/%) $(1)/libpprofshim-core.a | need
	@mkdir -p $$(@D)
	$$(call say,LINK)$(2) $(sanitizer) -pthread $$(WRAP) -o $$@ $$(filter %.o,$$^) -Wl,--start-group \
		$(1)/libpprofshim-core.a $(BOUND) -Wl,--end-group -lcheck -lsubunit -lm -lrt -ldl

# It hides functions of this libc from the code that looks for them.
$(1)/unit/shim/test_real: WRAP = -Wl,--wrap=lookup_next

$(1)/flags: FORCE
	@mkdir -p $$(@D)
	@echo $$(call quoted,$(2) $$(CPPFLAGS) $$(CODE) $(3) $$(CFLAGS)) >$$@.new
	@cmp -s $$@.new $$@ || cp $$@.new $$@

-include $(wildcard $(1)/*/*.d $(1)/*/*/*.d $(1)/test/unit/*/*.d)
endef

, := ,
SANITIZE = -fno-omit-frame-pointer -fno-sanitize-recover=all -fsanitize
$(eval $(call variant,$(BUILD),$(CC),$(WARN)))
$(eval $(call variant,$(BUILD)/asan,$(CC),$(SANITIZE)=address))
$(eval $(call variant,$(BUILD)/ubsan,$(CC),$(SANITIZE)=undefined))
$(eval $(call variant,$(BUILD)/tsan,$(CC),$(SANITIZE)=thread))
$(eval $(call variant,$(BUILD)/debug,$(CC),$(WARN) -DPPROFSHIM_DEBUG))
$(eval $(call variant,$(BUILD)/fuzz,$(CLANG),$(SANITIZE)=address$(,)undefined$(,)fuzzer-no-link))

# Newer ones say that they would rather be called protoc; what is said matters on a failure.
$(PB).h: proto/profile.proto | need
	@mkdir -p $(@D)
	$(call say,PROTO)protoc-c --proto_path=$(<D) --c_out=$(@D) $< 2>$@.log || { cat $@.log >&2; false; }

# The page in the browser, packed.
$(VIEW): $(wildcard http/view/*) http/view_page.h
	@mkdir -p $(@D)
	$(call say,PACK)http/view/pack.sh >$@

# These two do nothing, and change no file, when the result is what it should be.
$(LIBS)/libunwind/libunwind.a: FORCE | need
	@.ci/libunwind.sh $(@D)

$(LIBS)/lib/bind.syms: .ci/bind.sh $(LIBS)/libunwind/libunwind.a
	$(call say,BIND).ci/bind.sh $(@D) $(LIBS)/libunwind

$(BUILD)/fixtures/%.so: test/fixtures/%.c | need
	@mkdir -p $(@D)
	$(call say,CC)$(CC) -I. -g -O2 -fPIC -shared -pthread -MMD -MP -o $@ $< -ldl

$(BUILD)/fixtures/%.so: test/fixtures/%.cc | need
	@mkdir -p $(@D)
	$(call say,CXX)$(CXX) -I. -g -O2 -fPIC -shared -pthread -MMD -MP -o $@ $< -ldl

$(BUILD)/fixtures/%: test/fixtures/%.c | need
	@mkdir -p $(@D)
	$(call say,CC)$(CC) -I. -g -O2 -pthread -MMD -MP -o $@ $< -ldl

$(BUILD)/fixtures/%: test/fixtures/%.cc | need
	@mkdir -p $(@D)
	$(call say,CXX)$(CXX) -I. -g -O2 -pthread -MMD -MP -o $@ $< -ldl

# One file each, edition 2021, with std: nothing is downloaded.
$(BUILD)/fixtures/%: test/fixtures/%.rs | need
	@mkdir -p $(@D)
	$(call say,RUST)rustc --edition 2021 -O -g -o $@ $<

-include $(wildcard $(BUILD)/fixtures/*.d)

$(BUILD)/bench/%: $(BUILD)/bench/%.o $(BUILD)/libpprofshim-core.a
	$(call say,LINK)$(CC) -pthread -o $@ $< -Wl,--start-group $(BUILD)/libpprofshim-core.a $(BOUND) \
		-Wl,--end-group -lm -lrt -ldl

$(BUILD)/fuzz/fuzz_%: $(BUILD)/fuzz/test/fuzz/fuzz_%.o $(BUILD)/fuzz/libpprofshim-core.a
	$(call say,LINK)$(CLANG) $(SANITIZE)=address,undefined,fuzzer -o $@ $< -Wl,--start-group \
		$(BUILD)/fuzz/libpprofshim-core.a $(BOUND) -Wl,--end-group

# ---- test

deps: ## Install what building, testing and developing need (Debian)
	@.ci/deps.sh all

need:
	@.ci/deps.sh $(NEEDS)

# Benches and fuzzers are compiled, so that they can be run when somebody wants to.
test: need all $(BUILD)/debug/libpprofshim.so $(UNIT:%=$(BUILD)/%) $(FIXTURES) $(BENCH:%=%.o) $(FUZZ:%=$(BUILD)/test/fuzz/%.o) ## Run unit and end-to-end tests
	@.ci/tests.sh $(UNIT:%=$(BUILD)/%) $(E2E)

unit: $(UNIT:%=$(BUILD)/%) ## Run the unit tests
	@.ci/tests.sh $^

e2e: need all $(BUILD)/debug/libpprofshim.so $(FIXTURES) ## Run the end-to-end tests
	@.ci/tests.sh $(E2E)

storm: need all $(FIXTURES) ## Run the long tests (SECONDS=60 each)
	@STORM_SECONDS=$(or $(SECONDS),60) TEST_TIMEOUT=14400 .ci/tests.sh $(STORM)

ab: need all ## Run real programs' own tests with and without the shim (ATTACH=1: attached to meanwhile), and compare
	@test/ab/ab.py $(SUITES)

gates: all ## Check the finished library (exports, imports, TLS, notes), and the seam for the processor
	@HANDLER_OBJS='$(HANDLER_OBJ:%=$(BUILD)/%)' .ci/gates.sh $(SO) $(CPPFLAGS)

# gcc says how much stack each function takes, and whom it calls.
STACK_ASM = $(patsubst %.c,$(BUILD)/stack/%.s,$(filter-out shim/attach/%,$(wildcard shim/*/*.c sampler/*/*.c)))
$(BUILD)/stack/%.s: %.c | $(PB).h $(LIBS)/lib/bind.syms
	@mkdir -p $(@D)
	$(call say,STACK)$(CC) $(CPPFLAGS) $(CODE) -g0 -w -fcallgraph-info=su -MMD -MP -S -o $@ $<

-include $(wildcard $(BUILD)/stack/*/*/*.d)

stack: $(STACK_ASM) ## Sum up how much of the program's stack each hook takes
	@.ci/stack.py $(BUILD)/stack 512

asan: $(UNIT:%=$(BUILD)/asan/%) ## Run the unit tests under the address sanitizer
	@.ci/tests.sh $^

ubsan: $(UNIT:%=$(BUILD)/ubsan/%) ## Run the unit tests under the undefined behaviour sanitizer
	@.ci/tests.sh $^

# The tests of what several threads use without a lock.
TSAN = $(addprefix unit/,unwind/test_ring unwind/test_rows unwind/test_sites heap/test_live \
       locks/test_waiters locks/test_relocks threads/test_births)

tsan: $(TSAN:%=$(BUILD)/tsan/%) ## Run the unit tests of what is lock-free under the thread sanitizer
	@.ci/tests.sh $^

debug: $(BUILD)/debug/libpprofshim.so ## Build build/debug/libpprofshim.so: assertions, protocol events (gdb: print debug_events), PPROF_DEBUG_FAIL_MAP

fuzz: need $(FUZZ:%=$(BUILD)/fuzz/%) ## Fuzz each parser (SECONDS=60 each)
	@.ci/fuzz.sh $(or $(SECONDS),60) $(filter $(BUILD)/fuzz/%,$^)

lint: need $(PB).h $(LIBS)/lib/bind.syms ## Check formatting, clang-tidy, shellcheck
	@SOURCES='$(SOURCES)' SCRIPTS='$(SCRIPTS)' .ci/lint.sh $(CPPFLAGS) $(CODE)

format: need ## Format all C and C++
	clang-format -i $(SOURCES)

# ---- use

# By rename: a running server may have the old file mapped.
put = install -D -m $(1) $(2) $(DESTDIR)$(3).new && mv -f $(DESTDIR)$(3).new $(DESTDIR)$(3)

install: all ## Install library, launcher, pprof-attach and header (PREFIX=/usr/local DESTDIR=)
	$(call put,755,$(SO),$(PREFIX)/lib/pprofshim/libpprofshim.so)
	$(call put,755,pprof-inject.sh,$(PREFIX)/bin/pprof-inject)
	$(call put,755,$(ATTACH),$(PREFIX)/bin/pprof-attach)
	$(call put,644,include/pprofshim.h,$(PREFIX)/include/pprofshim.h)

uninstall: ## Remove what install put there
	rm -f $(DESTDIR)$(PREFIX)/lib/pprofshim/libpprofshim.so \
		$(addprefix $(DESTDIR)$(PREFIX)/bin/,pprof-inject pprof-attach) \
		$(DESTDIR)$(PREFIX)/include/pprofshim.h
	-rmdir $(DESTDIR)$(PREFIX)/lib/pprofshim

clean: ## Remove build/
	rm -rf $(BUILD)

demo: need all $(if $(filter chat,$(TARGET)),$(CHAT)) ## Profile a real server under load (TARGET=chat|redis|nginx)
	@test/demo/demo.sh

pprof-cpu: ## Fetch a CPU profile and open it (SECONDS=30 PPROF_PORT=6060, ADMIN_KEY)
	@.ci/pprof-fetch.sh cpu profile 'seconds=$(or $(SECONDS),30)'

pprof-heap: ## Fetch what is allocated now and open it (PPROF_PORT=6060, ADMIN_KEY)
	@.ci/pprof-fetch.sh heap heap

pprof-allocs: ## Fetch all past allocations and open them (PPROF_PORT=6060, ADMIN_KEY)
	@.ci/pprof-fetch.sh allocs allocs

pprof-block: ## Record all waits for a while and open them (SECONDS=10 PPROF_PORT=6060, ADMIN_KEY)
	@.ci/pprof-fetch.sh block block 'seconds=$(or $(SECONDS),10)'

pprof-mutex: ## Record who keeps others waiting for a while and open it (SECONDS=10 PPROF_PORT=6060, ADMIN_KEY)
	@.ci/pprof-fetch.sh mutex mutex 'seconds=$(or $(SECONDS),10)'

pprof-goroutines: ## Fetch the stacks of all threads and open them (PPROF_PORT=6060, ADMIN_KEY)
	@.ci/pprof-fetch.sh goroutines goroutine

pprof-threads: ## Print the stacks of all threads, deadlocks first (PPROF_PORT=6060, ADMIN_KEY)
	@.ci/pprof-fetch.sh threads goroutine debug=2

bench: all $(BENCH) $(FIXTURES) ## Measure what the shim costs, beside its peers (twenty minutes)
	@.ci/bench.sh $(BENCH)

bench-quick: all $(BENCH) $(FIXTURES) ## The same in three minutes
	@QUICK=1 .ci/bench.sh $(BENCH)

bench-readme: ## Write the results of the last make bench into docs/BENCH.md and README.md
	python3 bench/table.py --readme $(BUILD)/bench/results.jsonl

help: ## List the targets
	@sed -n 's/^\([a-z][a-z0-9 -]*\):.*## /\1\t/p' Makefile | expand -t 14

.PHONY: all deps need test unit e2e storm ab gates stack asan ubsan tsan debug fuzz \
	lint format install uninstall clean demo pprof-cpu pprof-heap pprof-allocs pprof-block \
	pprof-mutex pprof-goroutines pprof-threads bench bench-quick bench-readme help
