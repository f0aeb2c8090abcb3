#!/usr/bin/env python3
"""Who may include whom, held by a test: the sources can be read from the ground floor (core) to the roof (programs).

    check_dependencies.py ROOT                            the include rules and the absence of cycles
    check_dependencies.py ROOT --core-archive LIB.a       also: what the core's object code calls
    check_dependencies.py ROOT --self-test                plants violations in a copy and expects each to be found

Rules (STYLE, "Layout"):
  1. A folder includes only the folders below it (FLOORS), and nobody includes a program, except that program, tests and bench.
  2. A library is included only where FLOORS says so: librdkafka in common/kafka, libpq in common/pg, and so on.
  3. The core includes a handful of standard headers and nothing that does I/O, reads a clock or allocates.
  4. No cycle between modules; foo.c, foo.h and its private header (foo_private.h, foo_internal.h) are one module.
  5. The core's object code calls nothing but CORE_CALLS.
"""
import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PURE_HEADERS = {"assert.h", "inttypes.h", "limits.h", "stdalign.h", "stdbool.h", "stddef.h", "stdint.h", "stdlib.h",
                "stdnoreturn.h", "string.h"}
CODEC_HEADERS = PURE_HEADERS | {"ctype.h", "errno.h", "math.h", "stdarg.h", "stdio.h"}
ANY = None                                  # every system header that isn't a library's

# Which header belongs to which library; everything else in <> counts as the C library.
LIBRARIES = {
    "rdkafka": r"librdkafka/", "libpq": r"libpq|pg_config|postgres", "jansson": r"jansson", "microhttpd": r"microhttpd",
    "inih": r"ini\.h", "openssl": r"openssl/", "curl": r"curl/", "cmocka": r"cmocka", "zlib": r"zlib",
}
PROGRAM_LIBRARIES = {"jansson", "microhttpd", "inih", "openssl", "curl"}
COMMON = {"core", "codec", "base", "kafka", "listener", "pg", "sql"}
PROGRAMS = {"producer", "worker", "tools"}

# folder: (folders it may include besides itself, libraries, system headers)
FLOORS = {
    "core": (set(), set(), PURE_HEADERS),
    "codec": ({"core"}, {"jansson"}, CODEC_HEADERS),
    "base": (set(), {"inih", "openssl", "microhttpd"}, ANY),
    "kafka": ({"core", "base"}, {"rdkafka", "jansson"}, ANY),
    "listener": ({"core", "codec", "base", "kafka"}, set(), ANY),
    "sql": (set(), set(), ANY),
    "pg": ({"core", "base", "sql"}, {"libpq"}, ANY),
    "producer": (COMMON, PROGRAM_LIBRARIES, ANY),
    "worker": (COMMON, PROGRAM_LIBRARIES, ANY),
    "tools": (COMMON, PROGRAM_LIBRARIES, ANY),
    "bench": (COMMON | PROGRAMS | {"tests"}, set(LIBRARIES), ANY),     # measures the insides, as tests try them
    "tests": (COMMON | PROGRAMS, set(LIBRARIES), ANY),
}

CORE_CALLS = {"memchr", "memcmp", "memcpy", "memmove", "memset", "strcmp", "strlen", "strncmp", "strnlen", "qsort", "bsearch",
              "__assert_fail", "__stack_chk_fail", "__memcpy_chk", "__memmove_chk", "__memset_chk", "_GLOBAL_OFFSET_TABLE_"}
INSTRUMENTATION = re.compile(r"__(asan|ubsan|tsan|sanitizer|gcov|lsan)_")

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:<([^>]+)>|"([^"]+)")', re.MULTILINE)


def sources(root):
    for top in ["common", "sql", "producer", "worker", "tools", "bench", "tests"]:
        yield from sorted(p for p in (root / top).rglob("*") if p.suffix in (".c", ".h") and p.is_file())


def folder_of(relative):
    """common/core/x.h -> core; worker/main.c -> worker."""
    parts = relative.parts
    return parts[1] if parts[0] == "common" else parts[0]


def resolve(root, source, name):
    """The file that a quoted include means, or None for one that the build generates."""
    for base in (source.parent, root, root / "common"):
        path = (base / name).resolve()
        if path.is_file() and path.is_relative_to(root):
            return path.relative_to(root)
    return None


def library_of(header):
    return next((name for name, pattern in LIBRARIES.items() if re.match(pattern, header)), None)


def check_system_include(folder, header):
    _, libraries, headers = FLOORS[folder]
    library = library_of(header)
    if library is not None:
        return None if library in libraries else f"{folder} may not use {library}"
    if headers is not ANY and header not in headers:
        return f"{folder} may not use <{header}>"
    return None


def check_own_include(folder, target_folder):
    if target_folder == folder or target_folder in FLOORS[folder][0]:
        return None
    if target_folder in PROGRAMS:
        return f"nobody includes a program, and {target_folder} is one"
    return f"{folder} may not include {target_folder}"


def module_of(root, relative):
    """foo.c, foo.h, foo_private.h and foo_internal.h are the module foo (where there is a foo.h)."""
    module = relative.with_suffix("")
    for suffix in ("_private", "_internal"):
        owner = module.with_name(module.name.removesuffix(suffix))
        if owner != module and (root / owner.with_suffix(".h")).exists():
            return owner
    return module


def check_includes(root):
    """Returns (violations, graph of modules)."""
    violations, graph = [], {}
    for source in sources(root):
        relative = source.relative_to(root)
        folder = folder_of(relative)
        module = module_of(root, relative)
        arrows = graph.setdefault(module, set())
        if folder not in FLOORS:
            violations.append(f"{relative}: the folder {folder} has no floor in FLOORS")
            continue
        text = source.read_text(encoding="utf-8")
        for match in INCLUDE.finditer(text):
            where = f"{relative}:{text.count(chr(10), 0, match.start(1) if match[1] else match.start(2)) + 1}"
            if match[1]:
                fault = check_system_include(folder, match[1])
            else:
                target = resolve(root, source, match[2])
                first = Path(match[2]).parts[0]
                target_folder = folder_of(target) if target else first if first in FLOORS else folder
                fault = check_own_include(folder, target_folder)
                if target and module_of(root, target) != module:
                    arrows.add(module_of(root, target))
            if fault:
                violations.append(f"{where}: {fault}")
    return violations, graph


def reachable(graph, start):
    seen, todo = set(), list(graph.get(start, ()))
    while todo:
        module = todo.pop()
        if module not in seen:
            seen.add(module)
            todo += graph.get(module, ())
    return seen


def find_cycles(graph):
    """Each set of modules that reach each other, as a sorted list."""
    reach = {module: reachable(graph, module) for module in graph}
    return sorted({tuple(sorted(other for other in reach[module] if module in reach.get(other, ())))
                   for module in graph if module in reach[module]})


def check_archive(archive):
    def symbols(option):
        out = subprocess.run(["nm", "-A", option, archive], check=True, capture_output=True, text=True).stdout
        return {(line.split()[-1], line.split(":")[1]) for line in out.splitlines() if line.strip()}
    defined = {name for name, _ in symbols("--defined-only")}
    return [f"{archive}({member}): the core may not call {name}"
            for name, member in sorted(symbols("--undefined-only"))
            if name not in defined and name not in CORE_CALLS and not INSTRUMENTATION.match(name)]


def check(root, archive=None):
    violations, graph = check_includes(root)
    violations += ["a cycle: " + ", ".join(str(module) for module in cycle) for cycle in find_cycles(graph)]
    if archive:
        violations += check_archive(archive)
    return violations


# --- the check of the check ---

# file: text to plant, and what must be said about it
PLANTED = [
    ({"common/core/planted.c": "#include <stdio.h>\n"}, "core may not use <stdio.h>"),
    ({"common/core/planted.c": "#include <time.h>\n"}, "core may not use <time.h>"),
    ({"common/core/planted.c": "  #  include \"base/planted.h\"\n", "common/base/planted.h": "\n"}, "core may not include base"),
    ({"common/core/planted.c": "#include \"../base/planted.h\"\n", "common/base/planted.h": "\n"}, "core may not include base"),
    ({"common/core/planted.c": "#include \"base/generated.h\"\n"}, "core may not include base"),
    ({"common/codec/planted.c": "#include <librdkafka/rdkafka.h>\n"}, "codec may not use rdkafka"),
    ({"common/codec/planted.c": "#include \"base/planted.h\"\n", "common/base/planted.h": "\n"}, "codec may not include base"),
    ({"common/base/planted.c": "#include \"core/planted.h\"\n", "common/core/planted.h": "\n"}, "base may not include core"),
    ({"common/kafka/planted.c": "#include <libpq-fe.h>\n"}, "kafka may not use libpq"),
    ({"common/pg/planted.c": "#include \"kafka/planted.h\"\n", "common/kafka/planted.h": "\n"}, "pg may not include kafka"),
    ({"worker/planted.c": "#include <librdkafka/rdkafka.h>\n"}, "worker may not use rdkafka"),
    ({"producer/planted.c": "#include <libpq-fe.h>\n"}, "producer may not use libpq"),
    ({"tools/planted.c": "#include \"worker/planted.h\"\n", "worker/planted.h": "\n"}, "nobody includes a program"),
    ({"common/pg/planted.c": "#include \"worker/planted.h\"\n", "worker/planted.h": "\n"}, "nobody includes a program"),
    ({"common/core/planted1.h": "#include \"core/planted2.h\"\n", "common/core/planted2.h": "#include \"planted1.h\"\n"}, "a cycle"),
    ({"worker/planted1.c": "#include \"planted2.h\"\n", "worker/planted1.h": "\n", "worker/planted2.c": "#include \"worker/planted1.h\"\n",
      "worker/planted2.h": "\n"}, "a cycle"),
    ({"attic/planted.c": "\n", "common/attic/planted.c": "\n"}, "has no floor"),
]
PLANTED_CALLS = [("#include <time.h>\nlong f(void); long f(void) { return (long)time(0); }\n", "may not call time"),
                 ("#include <stdlib.h>\nvoid *f(void); void *f(void) { return malloc(1); }\n", "may not call malloc")]


def copy_sources(root, to):
    for source in sources(root):
        target = to / source.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


def self_test(root):
    missed = []
    with tempfile.TemporaryDirectory() as temporary:
        for number, (files, expected) in enumerate(PLANTED):
            copy = (Path(temporary) / str(number)).resolve()
            copy.mkdir()
            copy_sources(root, copy)
            before = set(check(copy))
            for name, text in files.items():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                (copy / name).write_text(text, encoding="utf-8")
            found = set(check(copy)) - before
            if not any(expected in violation for violation in found):
                missed.append(f"not found: {expected!r} in {files}; found {found}")
        for text, expected in PLANTED_CALLS:
            source, thing, archive = (Path(temporary) / name for name in ("planted.c", "planted.o", "planted.a"))
            source.write_text(text, encoding="utf-8")
            archive.unlink(missing_ok=True)
            subprocess.run(["cc", "-c", source, "-o", thing], check=True)
            subprocess.run(["ar", "rcs", archive, thing], check=True)
            if not any(expected in violation for violation in check_archive(archive)):
                missed.append(f"not found: {expected!r}")
    return missed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=lambda path: Path(path).resolve())
    parser.add_argument("--core-archive")
    parser.add_argument("--self-test", action="store_true")
    arguments = parser.parse_args()
    faults = self_test(arguments.root) if arguments.self_test else check(arguments.root, arguments.core_archive)
    for fault in faults:
        print(fault)
    print(f"{len(faults)} violations" if faults else "ok")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
