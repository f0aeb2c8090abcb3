#!/usr/bin/env python3
"""Chooses what of a fuzz target's working corpus is committed: every file of the committed corpus that was written by hand (its name
isn't a hash), and of the others those that together cover the most edges, smallest first, within FILES_MAX and BYTES_MAX.

    keep_corpus.py FUZZ_PROGRAM COMMITTED_FOLDER WORKING_FOLDER
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

FILES_MAX = 60
BYTES_MAX = 100_000


def coverage(program, folders):
    """The edges that each file covers, by libFuzzer's own merge."""
    with tempfile.TemporaryDirectory() as scratch:
        control, empty = os.path.join(scratch, "control"), os.path.join(scratch, "empty")
        os.mkdir(empty)
        subprocess.run([program, "-set_cover_merge=1", "-use_counters=0", f"-merge_control_file={control}", empty, *folders],
                       check=True, stderr=subprocess.DEVNULL)
        with open(control, encoding="utf-8") as file:
            lines = file.read().splitlines()
    count = int(lines[0])
    paths, edges = lines[2:2 + count], {}
    for line in lines[2 + count:]:
        word, index, *numbers = line.split(" ")
        if word == "FT":
            edges[paths[int(index)]] = set(numbers)
    return edges


def choose(edges, committed):
    """Paths to keep, the best first."""
    by_hand = [path for path in edges if os.path.dirname(path) == committed and not re.fullmatch("[0-9a-f]{40}", os.path.basename(path))]
    kept, covered = sorted(by_hand), set()
    size = sum(os.path.getsize(path) for path in kept)
    for path in kept:
        covered |= edges[path]
    others = sorted(set(edges) - set(kept), key=lambda path: (os.path.getsize(path), path))
    while len(kept) < FILES_MAX:
        fitting = [path for path in others if size + os.path.getsize(path) <= BYTES_MAX]
        best = max(fitting, key=lambda path: len(edges[path] - covered), default=None)
        if best is None or not edges[best] - covered:
            break
        kept.append(best)
        others.remove(best)
        covered |= edges[best]
        size += os.path.getsize(best)
    return kept, covered


def main():
    program, committed, working = (os.path.normpath(path) for path in sys.argv[1:])
    edges = coverage(program, [committed, working])
    kept, covered = choose(edges, committed)
    fresh = tempfile.mkdtemp(dir=os.path.dirname(committed))
    for path in kept:
        shutil.copy(path, os.path.join(fresh, os.path.basename(path)))
    shutil.rmtree(committed)
    os.chmod(fresh, 0o755)
    os.rename(fresh, committed)
    everything = set().union(*edges.values()) if edges else set()
    print(f"{os.path.basename(committed)}: {len(kept)} files, {sum(os.path.getsize(os.path.join(committed, name)) for name in os.listdir(committed))} "
          f"bytes, {len(covered)} of {len(everything)} edges")


if __name__ == "__main__":
    main()
