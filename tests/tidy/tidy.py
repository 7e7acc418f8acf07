#!/usr/bin/env python3
"""The house rules that a machine can check. Prints file:line: what, exits 1 when there is any.

Includes point down only; a library's header is seen in its own few files; names are unique; a .c begins
with its own header; no `//` comments, no long lines, no banned calls, no words of a machine or of
unfinished work; every folder has a README; clang-format has nothing to say."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ["base", "kernels", "state", "features", "models", "stream", "pipelines"]
MAY_SEE = {
    "base": ["base"],
    "kernels": ["kernels", "base/base.h"],
    "state": ["state", "base"],
    "features": ["features", "state", "kernels", "base"],
    "models": ["models", "kernels", "base"],
    "stream": ["stream", "state", "base"],
    "pipelines": FOLDERS,
}
LIBRARY_HEADERS = {
    r"librdkafka/": r"stream/(kafka_.*|embedded_broker)\.[ch]$",
    r"rocksdb/": r"state/store_rocksdb\.c$",
    r"yaml\.h": r"pipelines/config/yaml_tree\.c$",
    r"simdjson": r"(stream/codec_json|models/json_document)\.cc$",
    r"cuda|cublas": r"kernels/cuda/",
}
BANNED = r"\b(sprintf|vsprintf|strcpy|strcat|gets|strtok|alloca|setjmp)\s*\("
HEAP = r"(?<![\w.>])(malloc|calloc|realloc|free|strdup|strndup)\s*\("
WORDS = r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b|/wo" + r"rk/|/fa" + r"rm/|/ro" + r"ot/"
LINES_MAX, COLUMNS_MAX = 1000, 100

found = []


def say(path, line, what):
    found.append(f"{path}:{line}: {what}")


def tracked():
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT,
                         capture_output=True, text=True, check=True).stdout.split("\n")
    return [pathlib.Path(p) for p in out if p and (ROOT / p).is_file()]


def without_text(line):
    """The line without strings and characters, so that what is in them is not taken for code."""
    return re.sub(r'"(\\.|[^"\\])*"|\'(\\.|[^\'\\])*\'', '""', line)


def check_include(path, number, line):
    match = re.match(r'\s*#\s*include\s+(["<])([^">]+)[">]', line)
    if not match:
        return
    quoted, name = match.group(1) == '"', match.group(2)
    top = path.parts[0]
    if top in MAY_SEE and quoted:
        allowed = any(name == a or name.startswith(a + "/") for a in MAY_SEE[top])
        if not allowed and "/" in name:
            say(path, number, f"{top}/ may not include {name}")
    for header, where in LIBRARY_HEADERS.items():
        if re.match(header, name) and top in FOLDERS and not re.search(where, str(path)):
            say(path, number, f"{name} is not included here")


def check_code(path, lines):
    in_comment = False
    for number, line in enumerate(lines, 1):
        check_include(path, number, line)
        code = without_text(line)
        if not in_comment and re.search(r"//", code.split("/*")[0]):
            say(path, number, "a // comment")
        bare = re.sub(r"/\*.*?\*/", "", code)
        if in_comment:
            bare = bare.split("*/", 1)[1] if "*/" in bare else ""
        if "/*" in bare:
            bare, in_comment = bare.split("/*")[0], True
        elif "*/" in code:
            in_comment = False
        if re.search(BANNED, bare) and path.parts[0] in FOLDERS:
            say(path, number, "a banned call")
        if re.search(HEAP, bare) and path.parts[0] in FOLDERS and path.name != "memory.c":
            say(path, number, "the heap is reached through base/memory.h")


def check_first_include(path, lines):
    header = path.with_suffix(".h")
    if path.suffix != ".c" or not (ROOT / header).exists():
        return
    first = next((l for l in lines if l.startswith("#include")), "")
    if first.strip() != f'#include "{header}"':
        say(path, 1, f'the first include is not "{header}"')


def check_file(path):
    try:
        text = (ROOT / path).read_text()
    except UnicodeDecodeError:
        return
    lines = text.split("\n")
    source = path.suffix in (".c", ".h", ".cc")
    if source:
        check_code(path, lines)
        check_first_include(path, lines)
        if len(lines) > LINES_MAX:
            say(path, LINES_MAX, f"{len(lines)} lines")
        if path.name.startswith("test_") and not text.startswith("/*"):
            say(path, 1, "a test begins with what it proves")
    for number, line in enumerate(lines, 1):
        if source and len(line) > COLUMNS_MAX:
            say(path, number, f"{len(line)} columns")
        if source and line != line.rstrip() or "\t" in line and source:
            say(path, number, "a trailing blank or a tab")
        if re.search(WORDS, line) and path.suffix != ".expected":
            say(path, number, "a word that does not belong here")


def check_names(paths):
    seen = {}
    for path in paths:
        if path.suffix not in (".c", ".h", ".cc", ".cu"):
            continue
        if path.name in seen:
            say(path, 1, f"the name is taken by {seen[path.name]}")
        seen[path.name] = path


def check_readmes(paths):
    for folder in sorted({p.parent for p in paths if p.suffix in (".c", ".cc")}):
        if folder.parts[0] in FOLDERS and not (ROOT / folder / "README.md").exists():
            if not (ROOT / folder.parent / "README.md").exists():
                say(folder, 1, "a folder without README.md")


def check_format(paths):
    files = [str(p) for p in paths if p.suffix in (".c", ".h", ".cc")]
    try:
        run = subprocess.run(["clang-format", "--dry-run", "-Werror", *files], cwd=ROOT,
                             capture_output=True, text=True, check=False)
    except FileNotFoundError:
        print("tidy: clang-format is not installed, formats are not checked")
        return
    for line in run.stderr.split("\n"):
        match = re.match(r"(\S+?):(\d+):\d+: error: (.*)", line)
        if match:
            say(match.group(1), match.group(2), "clang-format: ./dev fmt")


def main():
    paths = tracked()
    for path in paths:
        check_file(path)
    check_names(paths)
    check_readmes(paths)
    check_format(paths)
    print("\n".join(sorted(set(found))))
    print(f"tidy: {len(paths)} files, {len(set(found))} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
