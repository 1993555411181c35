#!/usr/bin/env python3
"""Runs what README.md and docs/PROFILING.md tell people to run.

Every ```sh block is run, those of one document in one shell, in order, as if
pasted into a terminal.  A comment in front of a block changes that:

    <!-- test: skip REASON -->     it is not run
    <!-- test: background -->      it is started and goes on while the rest runs

Ports are replaced by free ones.  Then: the names in the shown output must be
those of a fresh profile, and the tables must agree with the source.
"""
import glob
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
BUILD = os.path.realpath(os.environ.get("BUILD", os.path.join(ROOT, "build")))
DOCUMENTS = ["README.md", "docs/PROFILING.md"]
WATCHDOG_SECONDS = 300
PORTS = ["16060", "6060", "6061", "6062", "6063", "7778", "7777", "8080"]

# (document, text in a block, what its output must match)
EXPECTED = [
    ("README.md", "redis-benchmark", r"(?s)PONG.*Type: cpu.*Total samples = [1-9].*flat%.*(zsl|dict)[A-Z]"),
    ("docs/PROFILING.md", "go tool pprof -top cpu.pb.gz", r"edit_distance"),
    ("docs/PROFILING.md", "make pprof-cpu", r"(?s)Type: cpu.*edit_distance"),
    ("docs/PROFILING.md", "debug/pprof/cmdline", r"(?s)build/fixtures/chat_server --leak.*pprofshim"),
    ("docs/PROFILING.md", "-diff_base", r"Showing nodes accounting for"),
    ("docs/PROFILING.md", "PPROF_TMPDIR", r"(?s)edit_distance.*\.pb\.gz"),
    ("docs/PROFILING.md", "grep -E '^(cpu", r"cpu_samples [1-9]"),
    ("docs/PROFILING.md", "-base heap1", r"inuse_space(?s:.*)remember_forever"),
    ("docs/PROFILING.md", "heap?older=5s", r"(?s)inuse_space.*(remember_forever|must_alloc).*inuse_space"),
    ("docs/PROFILING.md", "heap?seconds=10", r"inuse_space(?s:.*)remember_forever"),
    ("docs/PROFILING.md", "allocs?seconds=3", r"alloc_space(?s:.*)copy_message"),
    ("docs/PROFILING.md", "mutex?seconds=3", r"Type: delay(?s:.*)unlock_room"),
    ("docs/PROFILING.md", "block?seconds=3", r"Type: delay(?s:.*)pthread_mutex_lock"),
    ("docs/PROFILING.md", "mutex?debug=1", r"--- mutex:\ncycles/second=1000000000\nsampling period=1\n\d+ \d+ @"),
    ("docs/PROFILING.md", "until make pprof-threads", r"(?s)# DEADLOCK: thread \d+ \(teller-\d\) waits.*goroutine \d+ \[mutex wait .*transfer\(\.\.\.\)"),
    ("docs/PROFILING.md", "wall?seconds=3", r"(?s)Type: wall.*journal_message.*wait_reason: Total"),
    ("docs/PROFILING.md", "-tagfocus request=say", r"(?s)request: Total.*say.*alloc_space.*copy_message"),
    ("docs/PROFILING.md", "-tags threads.pb.gz", r"(?s)Type: goroutine.*wait_reason: Total"),
    ("docs/PROFILING.md", "--unix-socket sleep.sock", r"Type: goroutine(?s:.*)nanosleep"),
    ("docs/PROFILING.md", "--out profiles", r"(?s)s of CPU time.*function.*Type: cpu.*Total samples = "),
    ("docs/PROFILING.md", "PPROF_OUT_PROFILES=cpu", r"gzip\.\d+\.cpu\.pb\.gz"),
    ("docs/PROFILING.md", "PPROF_TOGGLE=USR2", r"(?s)File: gzip.*Type: cpu.*Total samples = "),
    ("docs/PROFILING.md", "--abstract-unix-socket", r"PPROF_SOCKET=@sleep-%p"),
    ("docs/PROFILING.md", "pprof -http", r"<title>.* cpu"),
]

passed = failed = 0


def check(good, what, detail=""):
    global passed, failed
    if good:
        passed += 1
    else:
        failed += 1
        print(f"FAILED: {what}\n{detail}".rstrip(), flush=True)
    return good


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return f.read()


# ---- the documents


class Block:
    def __init__(self, language, text, line, mark):
        self.language, self.text, self.line, self.mark = language, text, line, mark


def blocks_of(document):
    """The fenced blocks, each with the mark of the comment in front of it."""
    blocks, mark = [], ""
    fence = re.compile(r"<!-- test: (.*?) -->|^```(\w*)\n(.*?)^```$", re.M | re.S)
    text = read(document)
    for m in fence.finditer(text):
        if m.group(1):
            mark = m.group(1)
            continue
        line = text.count("\n", 0, m.start()) + 1
        blocks.append(Block(m.group(2), m.group(3), line, mark))
        mark = ""
    return blocks


# ---- running


def free_port(taken):
    while True:
        port = random.randint(18000, 19999)  # no other test takes one of these
        with socket.socket() as s:
            if port not in taken and s.connect_ex(("127.0.0.1", port)) != 0:
                taken.add(port)
                return str(port)


def with_ports(text, ports):
    return re.sub(r"\b(%s)\b" % "|".join(PORTS), lambda m: ports[m.group(1)], text)


PROLOGUE = """
failures=$1
trap 'echo "$block: $BASH_COMMAND" >>"$failures"' ERR
port_open() { (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
# A page for a browser is waited for as a browser's user would; all else the commands wait for themselves.
ready() {
    for ((i = 0; i < 300; i++)); do
        if port_open "$1"; then return 0; fi
        sleep 0.1
    done
    echo "$block: nothing listens on port $1" >>"$failures"
}
"""


def script_of(blocks, ports):
    """One shell script of all blocks, with a line in front of the output of each."""
    lines = [PROLOGUE]
    for number, b in enumerate(blocks):
        text = with_ports(b.text, ports)
        lines.append(f"block={b.line}; echo '<<< {number}'")
        if b.mark == "background":
            lines.append("{\n" + text + "} &\n")
        else:
            lines.append(text)
        for port in re.findall(r"-http 127\.0\.0\.1:(\d+)", text):
            lines.append(f"ready {port}")
        http = re.search(r"-http (127\.0\.0\.1:\d+)", text)
        if http:
            lines.append(f"curl --silent --location http://{http.group(1)}/ui/ | grep '<title>'")
    return "\n".join(lines)


def make_workshop():
    """A directory that looks like the repository, where files may be left."""
    shop = tempfile.mkdtemp(prefix="pprofshim-docs.")
    for entry in os.listdir(ROOT):
        if entry not in (".git", "build") and not entry.endswith(".pb.gz"):
            os.symlink(os.path.join(ROOT, entry), os.path.join(shop, entry))
    os.symlink(BUILD, os.path.join(shop, "build"))
    return shop


def in_session(session):
    """Processes that are still there, zombies aside."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="latin-1") as f:
                state, _, _, of = f.read().rpartition(") ")[2].split()[:4]
        except (OSError, ValueError):
            continue
        if int(of) == session and state != "Z":
            found.append(int(pid))
    return found


def end_session(session):
    """Ends what a document has left running in the background."""
    for sig in (signal.SIGTERM, signal.SIGKILL):
        for pid in in_session(session):
            try:
                os.kill(pid, sig)
            except ProcessLookupError:
                pass
        end = time.monotonic() + 10
        while in_session(session) and time.monotonic() < end:
            time.sleep(0.05)


def run_script(script, shop, ports):
    """Runs it in a session of its own.  Returns its output; None when the watchdog ended it."""
    environment = {k: v for k, v in os.environ.items()
                   if not re.match(r"ADMIN_KEY|PPROF_|LD_PRELOAD|MAKE|MFLAGS", k)}
    environment |= {"BROWSER": "true", "PPROF_PORT": ports["6060"],
                    "PPROF_TMPDIR": os.path.join(shop, "fetched")}
    output_path = os.path.join(shop, "output-of-docs")
    with open(output_path, "wb") as output:
        shell = subprocess.Popen(
            ["bash", "-c", script, "bash", os.path.join(shop, "failures-of-docs")], cwd=shop,
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment,
            start_new_session=True)
        try:
            shell.wait(WATCHDOG_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:  # also when a signal ends us
            finished = shell.poll() is not None
            end_session(shell.pid)
    shell.wait()
    with open(output_path, encoding="utf-8", errors="replace") as f:
        text = f.read()
    return check(finished, "the commands end in time", text[-3000:]) and text


def run_document(document):
    blocks = [b for b in blocks_of(document) if b.language == "sh"]
    to_run = [b for b in blocks if not b.mark.startswith("skip")]
    check(len(to_run) > 0, f"{document} has commands")
    taken = set()
    ports = {p: free_port(taken) for p in PORTS}
    shop = make_workshop()
    try:
        output = run_script(script_of(to_run, ports), shop, ports)
        if output:
            judge(document, to_run, output, shop)
            if document == "docs/PROFILING.md":
                check_transcripts(document, shop)
    finally:
        shutil.rmtree(shop)


def judge(document, to_run, output, shop):
    failures = os.path.join(shop, "failures-of-docs")
    wrong = {}
    if os.path.exists(failures):
        with open(failures, encoding="utf-8") as f:
            for entry in f.read().splitlines():
                line, _, command = entry.partition(": ")
                wrong.setdefault(line, []).append(command)
    parts = dict(re.findall(r"<<< (\d+)\n(.*?)(?=<<< \d+\n|\Z)", output, re.S))
    for number, b in enumerate(to_run):
        said = parts.get(str(number), "")
        where = f"{document}:{b.line}"
        check(str(number) in parts and str(b.line) not in wrong, f"{where}: every command works",
              f"{wrong.get(str(b.line))}\n{said[-3000:]}")
        for of, fragment, pattern in EXPECTED:
            if of == document and fragment in b.text:
                check(re.search(pattern, said), f"{where}: output has /{pattern}/", said[-3000:])


# ---- shown output


# What libc calls its insides differs by processor, and by whether its debug symbols are there.
OF_LIBC = re.compile(r"_|futex_|epoll_|lll_|send$|recv$|free$|malloc$|snprintf$|pthread_|clone|\[")


def names_in(text):
    """The last column of pprof's tables (-top, -peek): functions of the program."""
    rows = re.findall(r"^ .*[0-9.]+%.*?(?:%|\|) +(\S[^%|]*?)(?: \(inline\))?$", text, re.M)
    return {r for r in rows if not OF_LIBC.match(r)}


def check_transcripts(document, shop):
    """What is shown behind "(pprof) COMMAND" has the names that the tool prints today."""
    profile = os.path.join(shop, "cpu.pb.gz")
    shown = [b.text for b in blocks_of(document) if "(pprof) " in b.text]
    check(len(shown) >= 4, f"{document} shows a session")
    for text in shown:
        command, _, answer = text.partition("(pprof) ")[2].partition("\n")
        # More rows than shown: which ones are on top differs from run to run.
        asked = re.sub(r"^top\d+", "top60", command)
        result = subprocess.run(["go", "tool", "pprof", profile], input=asked + "\n", text=True,
                                capture_output=True, timeout=120, check=False,
                                env=os.environ | {"BROWSER": "true", "PPROF_TMPDIR": shop})
        said = result.stdout + result.stderr
        wanted, got = names_in(answer), names_in(said)
        check(result.returncode == 0 and "Error" not in said and "unrecognized" not in said,
              f"{document}: (pprof) {command}", said[-2000:])
        for name in wanted:
            check(f"{name}(" in read("test/fixtures/chat_server.c"), f"chat_server has {name}()")
        check(len(wanted & got) >= 0.6 * len(wanted),
              f"{document}: (pprof) {command} shows what is shown there",
              f"shown and not seen: {wanted - got}\n{said[-3000:]}")
        for line in re.findall(r"^ +\S+ +\S+ +(\d+:.*)$", answer, re.M):
            source = line.partition(":")[2].strip()
            check(source in read("test/fixtures/chat_server.c"), f"source line is true: {source}")


# ---- tables against the source


def check_settings():
    source = read("shim/settings.c")
    known = set(re.findall(r'"(PPROF_[A-Z_]+|ADMIN_KEY(?:_[A-Z]+)?)"', source))
    section = read("README.md").partition("\n## Settings\n")[2].partition("\n## ")[0]
    told = set(re.findall(r"^\| `([A-Z_]+)` \|", section, re.M))
    check(len(known) >= 6, "settings.c names settings", str(known))
    check(known == told, "README's table has the settings of shim/settings.c", f"{known ^ told}")


def check_endpoints():
    names = re.findall(r'\.name = "(\w+)"[^}]*\.link = ', read("http/routes.c"))
    check("profile" in names, "routes.c names endpoints", str(names))
    for document in DOCUMENTS:
        for name in names:
            check(re.search(rf"^\| `{name}[?`]", read(document), re.M),
                  f"{document} has a row for {name}")


def check_costs():
    """What README has of docs/BENCH.md is there as well, and `make bench-readme` writes both."""
    rows = re.findall(r"^\| (.+) \| (.+) \| (.+) \|$",
                      read("README.md").partition("<!-- bench: begin")[2].partition("<!-- bench: end")[0], re.M)
    page = read("docs/BENCH.md")
    check(len(rows) > 8, "README has a summary of costs", str(rows))
    for what, measured, at_most in rows:
        if not what.startswith(("what", "-")):
            check(f"| {what} | {at_most} | {measured} |" in page, f"docs/BENCH.md: {what}")


def headers():
    """The text of each header of the library."""
    return [read(os.path.relpath(path, ROOT)) for d in ("sampler", "proto", "http", "shim")
            for path in glob.glob(f"{ROOT}/{d}/**/*.h", recursive=True)]


def check_words():
    """Counters, targets and files that the documents mention exist."""
    counters = read("sampler/base/counters.h")
    targets = set(re.findall(r"^([a-z][a-z-]*):.*##", read("Makefile"), re.M))
    for document in DOCUMENTS + ["docs/DESIGN.md", "docs/PROTOCOLS.md"]:
        text = read(document)
        for name in set(re.findall(r"`((?:cpu|heap|block|mutex|stacks|symbol|dump|threadcreate)_[a-z_]+)`", text)):
            check(f'"{name}"' in counters, f"{document}: counter {name} exists")
        for target in set(re.findall(r"(?:`|^)(?:sudo )?make ([a-z-]+)", text, re.M)):
            check(target in targets, f"{document}: make {target} exists")
        for path in set(re.findall(r"\]\(([^)#:]+)[^):]*\)", text)):
            check(os.path.exists(os.path.join(ROOT, os.path.dirname(document), path)),
                  f"{document}: {path} exists")
        for path in set(re.findall(r"`((?:sampler|shim|http|proto)/[a-z_/]+\.[ch])`", text)):
            check(os.path.exists(os.path.join(ROOT, path)), f"{document}: {path} exists")
        for name in set(re.findall(r"`(struct \w+)`", text)):
            check(any(re.search(rf"^{name} {{", text, re.M) for text in headers()),
                  f"{document}: {name} exists")


def main():
    signal.signal(signal.SIGTERM, lambda *unused: sys.exit(1))
    check_settings()
    check_endpoints()
    check_words()
    check_costs()
    for document in DOCUMENTS:
        run_document(document)
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed != 0)


if __name__ == "__main__":
    main()
