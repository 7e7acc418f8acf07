#!/usr/bin/env python3
"""Makes torch import where there is no CUDA: empty libraries in place of NVIDIA's.

torch's wheel is built for CUDA and links some fourteen libraries that come as packages of their own,
2.5 GB of them. On a CPU none of their functions is ever called, but the loader wants every library
that is needed, in every version that is asked of it, and every symbol. This looks up in torch's own
libraries what they need (readelf, nm) and builds (gcc) one library for each that has just that; a
function in there returns 100, which is CUDA's "no device". Torch then finds no device and works on
the CPU.

Run it with the Python of the environment that torch is in, after `pip install --no-deps torch`. Never
where NVIDIA's own packages are installed: their folder is where these are put, and it is refused."""
import pathlib
import re
import subprocess
import sys
import sysconfig
import tempfile

SITE = pathlib.Path(sysconfig.get_paths()["purelib"])
FOLDER = SITE / "nvidia/cu13/lib"  # where torch looks, in the layout of its CUDA 13 packages
MADE = FOLDER / "stand-ins.txt"
THEIRS = r"lib(?:cu|nv|nccl)"
NO_DEVICE = 100


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def wanted(libraries):
    """Of all of torch's libraries: the names of NVIDIA's that are needed, the versions that are asked
    of each, and the symbols that are open, each perhaps with "@VERSION" behind it."""
    names, versions, symbols = set(), {}, set()
    for library in libraries:
        names |= set(re.findall(rf"NEEDED.*\[({THEIRS}[^\]]*)\]", output("readelf", "-d", library)))
        symbols |= set(re.findall(r"^\s*U (\S+)", output("nm", "-D", "-u", library), re.M))
        blocks = re.findall(rf"File: ({THEIRS}\S+) .*\n((?:.*Name: .*\n?)+)",
                            output("readelf", "-VW", library))
        for name, block in blocks:
            versions.setdefault(name, set()).update(re.findall(r"Name: (\S+)", block))
    return names, versions, symbols


def build(name, versions, symbols, folder):
    """One library. A symbol belongs to it by its version; NCCL and NVSHMEM have none, so those go by
    their names and one library has them all."""
    mine = {s.split("@")[0] for s in symbols if s.split("@")[-1] in versions
            or "nccl" in name and re.match(r"(cu|nccl|nvshmem)\w*$", s)}
    source, script = folder / "stand_in.c", folder / "stand_in.map"
    source.write_text("".join(f"int {s}(void) {{ return {NO_DEVICE}; }}\n" for s in sorted(mine)))
    script.write_text(f"{versions[0]} {{ global: *; }};\n"
                      + "".join(f"{v} {{ }};\n" for v in versions[1:]))
    output("gcc", "-shared", "-fPIC", "-w", "-o", str(FOLDER / name), str(source),
           f"-Wl,-soname,{name}", f"-Wl,--version-script={script}")
    return len(mine)


def main():
    libraries = sorted(map(str, (SITE / "torch/lib").glob("*.so*")))
    if not libraries:
        sys.exit(f"torch_stand_ins: no torch in {SITE}")
    if FOLDER.exists() and not MADE.exists():
        sys.exit(f"torch_stand_ins: {FOLDER} has libraries that are not from here")
    names, versions, symbols = wanted(libraries)
    FOLDER.mkdir(parents=True, exist_ok=True)
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for name in sorted(names):
            n = build(name, sorted(versions.get(name, {name})), symbols, pathlib.Path(folder))
            lines.append(f"{name}: {n} functions\n")
    MADE.write_text("".join(lines))
    output(sys.executable, "-c", "import torch; assert not torch.cuda.is_available()")


if __name__ == "__main__":
    main()
