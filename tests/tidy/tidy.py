#!/usr/bin/env python3
"""The house rules that a machine can check. Prints file:line: what, and ends with 1 when there is any.

Includes point down only, and a library's header is seen in its own few files; a .c begins with its own
header; header guards are named after the path; names are unique in the tree; no `//` comments in C, no
long lines, long files, blanks at the end, banned calls, unfinished work or paths of somebody's machine;
tests begin with what they prove; what begins with #! can be run; every folder of sources has a README;
clang-format has nothing to say. `tidy.py --self-test` breaks each rule once and expects it to be said."""
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ["base", "kernels", "state", "features", "models", "stream", "pipelines"]
MAY_SEE = {
    "base": ["base/"],
    "kernels": ["kernels/", "base/base.h"],
    "state": ["state/", "base/"],
    "features": ["features/", "state/", "kernels/", "base/"],
    "models": ["models/", "kernels/", "base/"],
    "stream": ["stream/", "state/", "base/"],
    "pipelines": [f"{folder}/" for folder in FOLDERS],
}
# The header of a library: the files of the sources that may see it.
LIBRARY_HEADERS = {
    r"(librdkafka/)?rdkafka": r"stream/(kafka_\w+|embedded_broker)\.[ch]$",
    r"rocksdb/": r"state/store_rocksdb\.c$",
    r"yaml\.h": r"pipelines/config/yaml_tree\.c$",
    r"simdjson": r"(stream/codec_json|models/json_document)\.cc$",
    r"cuda|cublas": r"kernels/cuda/",
    r"protobuf-c|onnx\.pb-c": r"models/onnx/",
}
SOURCES = (".c", ".h", ".cc", ".cu")
TEXTS = SOURCES + (".py", ".md", ".cmake", "")  # and CMakeLists.txt; others are data, or wrong on purpose
BANNED = r"\b(sprintf|vsprintf|strcpy|strcat|gets|strtok|alloca|setjmp|assert)\s*\("
HEAP = r"(?<![\w.>])(malloc|calloc|realloc|free|strdup|strndup|asprintf)\s*\("
HEAP_FILE = "base/memory.c"
# Split up, so that this file does not find itself.
WORDS = r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b|(?<![\w.])/(wo" + r"rk|fa" + r"rm|ro" + r"ot|ho" + r"me)/"
LINES_MAX, COLUMNS_MAX = 1000, 100
# Written for a tool that looks for this name, or made: may be there several times.
MANY_OF_A_NAME = {"README.md", "CMakeLists.txt", "pipeline.yaml", "requirements.txt", "run", "make_fixtures.py"}


class Findings:
    def __init__(self, root):
        self.root, self.found = root, set()

    def say(self, path, line, what):
        self.found.add((str(path), int(line), what))


def tracked(root):
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=root,
                         capture_output=True, text=True, check=True).stdout.split("\n")
    return sorted(pathlib.Path(p) for p in out if p and (root / p).is_file())


def code_lines(text):
    """The lines without comments and without what is in strings; and where a // comment stands."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|"(\\.|[^"\\\n])*"|(?<![0-9A-Fa-f])\'(\\.|[^\'\\\n])*\'', re.S)
    slashes = []

    def blank(match):
        piece = match.group(0)
        if piece.startswith("//"):
            slashes.append(text.count("\n", 0, match.start()) + 1)
            return ""
        if piece.startswith("/*"):
            return "\n" * piece.count("\n")
        return '""'
    return pattern.sub(blank, text).split("\n"), slashes


def check_includes(to, path, lines):
    top = path.parts[0]
    for number, line in enumerate(lines, 1):
        match = re.match(r'\s*#\s*include\s+(["<])([^">]+)[">]', line)
        if not match:
            continue
        quoted, name = match.group(1) == '"', match.group(2)
        if top in MAY_SEE and quoted and not any(name.startswith(a) for a in MAY_SEE[top]):
            to.say(path, number, f"{top}/ may not include {name}")
        for header, where in LIBRARY_HEADERS.items():
            if re.match(header, name) and top in FOLDERS and not re.search(where, str(path)):
                to.say(path, number, f"{name} is not included here")
    header = path.with_suffix(".h")
    if path.suffix == ".c" and (to.root / header).exists():
        first = next((line for line in lines if line.startswith("#include")), "")
        if first.strip() != f'#include "{header}"':
            to.say(path, 1, f'the first include is not "{header}"')


def check_guard(to, path, lines):
    if path.suffix != ".h":
        return
    guard = "OZ_" + re.sub(r"\W", "_", str(path)).upper()
    at = next((n for n, line in enumerate(lines, 1) if line.startswith("#ifndef")), 0)
    if not at or lines[at - 1].split()[1:2] != [guard] or lines[at].split() != ["#define", guard]:
        to.say(path, max(at, 1), f"the header guard is not {guard}")


def check_calls(to, path, text):
    code, slashes = code_lines(text)
    for number in slashes if path.suffix != ".cc" else ():
        to.say(path, number, "a // comment")
    if path.parts[0] not in FOLDERS:
        return
    for number, line in enumerate(code, 1):
        if match := re.search(BANNED, line):
            to.say(path, number, f"{match.group(1)}() is banned")
        exempt = str(path) == HEAP_FILE or "getline" in text.split("\n")[number - 1]  # the C library's memory
        if not exempt and (match := re.search(HEAP, line)):
            to.say(path, number, f"{match.group(1)}(): the heap is reached through base/memory.h")


def check_source(to, path, text):
    lines = text.split("\n")
    check_includes(to, path, lines)
    check_guard(to, path, lines)
    check_calls(to, path, text)
    if len(lines) > LINES_MAX:
        to.say(path, LINES_MAX, f"{len(lines)} lines")
    for number, line in enumerate(lines, 1):
        if len(line) > COLUMNS_MAX:
            to.say(path, number, f"{len(line)} columns")


def check_file(to, path):
    try:
        text = (to.root / path).read_text()
    except UnicodeDecodeError:
        return  # a model or another file of bytes
    if path.suffix in SOURCES:
        check_source(to, path, text)
    if path.name.startswith("test_"):
        opening = {".c": "/*", ".py": '"""'}.get(path.suffix)
        begins = text.split("\n", 1)[1] if text.startswith("#!") else text
        if opening and not begins.startswith(opening):
            to.say(path, 1, "a test begins with what it proves")
    if text.startswith("#!") and not (to.root / path).stat().st_mode & 0o100:
        to.say(path, 1, "begins with #! and cannot be run (chmod +x)")
    if path.suffix not in TEXTS and path.name != "CMakeLists.txt":
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line != line.rstrip() or "\t" in line:
            to.say(path, number, "a trailing blank or a tab")
        if re.search(WORDS, line):
            to.say(path, number, "unfinished work, or a path of somebody's machine")


def check_names(to, paths):
    seen = {}
    for path in paths:
        if path.name in MANY_OF_A_NAME:
            continue
        if path.name in seen:
            to.say(path, 1, f"the name is taken by {seen[path.name]}")
        seen[path.name] = path


def check_readmes(to, paths):
    """A folder of sources has its own, or its parent's below the top; tests/README.md speaks for all tests."""
    for folder in sorted({p.parent for p in paths if p.suffix in SOURCES and len(p.parts) > 1}):
        near = [pathlib.Path("tests")] if folder.parts[0] == "tests" else [folder]
        if folder.parts[0] != "tests" and len(folder.parts) > 1:
            near.append(folder.parent)
        if not any((to.root / f / "README.md").exists() for f in near):
            to.say(near[0] / "README.md", 1, "is not there")


def check_format(to, paths):
    files = [str(p) for p in paths if p.suffix in SOURCES]
    try:
        run = subprocess.run(["clang-format", "--dry-run", "-Werror", *files], cwd=to.root,
                             capture_output=True, text=True, check=False)
    except FileNotFoundError:
        print("tidy: clang-format is not installed, formats are not checked")
        return
    for line in run.stderr.split("\n"):
        if match := re.match(r"(\S+?):(\d+):\d+: error: ", line):
            to.say(match.group(1), match.group(2), "clang-format: ./dev fmt")


def check_all(root):
    to = Findings(root)
    paths = tracked(root)
    for path in paths:
        check_file(to, path)
    check_names(to, paths)
    check_readmes(to, paths)
    check_format(to, paths)
    return to.found, len(paths)


# ---- the rules themselves

BROKEN = {  # path: text, what is said about it
    "state/up.h": ('#ifndef OZ_STATE_UP_H\n#define OZ_STATE_UP_H\n#include "stream/sink.h"\n#endif\n',
                   "state/ may not include stream/sink.h"),
    "kernels/wide.h": ('#ifndef OZ_KERNELS_WIDE_H\n#define OZ_KERNELS_WIDE_H\n#include "base/arena.h"\n#endif\n',
                       "kernels/ may not include base/arena.h"),
    "state/db.c": ("#include <rocksdb/c.h>\n", "rocksdb/c.h is not included here"),
    "base/kafka_client.c": ("#include <librdkafka/rdkafka.h>\n", "rdkafka.h is not included here"),
    "base/one.c": ('#include <stdio.h>\n#include "base/one.h"\n', "the first include is not"),
    "base/one.h": ("#ifndef ONE_H\n#define ONE_H\n#endif\n", "the header guard is not OZ_BASE_ONE_H"),
    "base/slashes.c": ("int a; // one\n", "a // comment"),
    "base/wide.c": ("int a; /* " + "a" * 100 + " */\n", "columns"),
    "base/long.c": ("\n" * 1000, "lines"),
    "base/blank.c": ("int a; \n", "a trailing blank or a tab"),
    "base/copy.c": ("void f(char *a, char *b) { strcpy(a, b); }\n", "strcpy() is banned"),
    "base/check.c": ("void f(int a) { assert(a); }\n", "assert() is banned"),
    "base/heap.c": ("void f(char *a) { free(a); }\n", "free(): the heap"),
    "base/later.c": ("/* TO" + "DO */\n", "unfinished work"),
    "base/mine.c": ('const char *p = "/ho' + 'me/me/x";\n', "a path of somebody's machine"),
    "tests/unit/base/test_it.c": ("int main(void) { return 0; }\n", "a test begins with what it proves"),
    "tests/e2e/script": ("#!/bin/sh\n", "cannot be run"),
    "stream/slashes.c": ("int a;\n", "the name is taken by"),
    "models/lonely.c": ("int a;\n", "is not there"),
    "base/format.c": ("int  a ;\n", "clang-format"),
}
CLEAN = {
    "base/good.h": '/* Good. */\n#ifndef OZ_BASE_GOOD_H\n#define OZ_BASE_GOOD_H\n#include "base/base.h"\n#endif\n',
    "base/good.c": '#include "base/good.h"\n\nconst char *oz_url = "http://a//b"; /* free(), // too */\n'
                   "void f(struct it *me) { me->free(me); oz_free(me); }\n",
}


def self_test():
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        subprocess.run(["git", "init", "-q"], cwd=root, check=True)
        texts = {path: text for path, (text, _) in BROKEN.items()} | CLEAN
        for path, text in texts.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        (root / ".clang-format").write_text((ROOT / ".clang-format").read_text())
        found, _ = check_all(root)
    missed = [f"{path}: not said: {what}" for path, (_, what) in BROKEN.items()
              if not any(what in said and (p == path or p.startswith(str(pathlib.Path(path).parent)))
                         for p, _, said in found)]
    wrong = [f"{p}:{line}: {what}" for p, line, what in found if p in CLEAN and "clang" not in what]
    print("\n".join(missed + wrong) or f"tidy: {len(BROKEN)} broken rules, each was said")
    return bool(missed or wrong)


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    found, n_files = check_all(ROOT)
    for path, line, what in sorted(found):
        print(f"{path}:{line}: {what}")
    print(f"tidy: {n_files} files, {len(found)} findings")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
