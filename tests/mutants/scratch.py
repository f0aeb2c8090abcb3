"""scratch.py - what both mutant runners need: a copy of the sources to break, and commands that must work."""
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def must(words, cwd=None):
    """Runs a command that isn't under test; answers its output, or ends the program with it."""
    done = subprocess.run([str(word) for word in words], cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(str(word) for word in words)[:200]} failed:\n{done.stdout[-3000:]}")
    return done.stdout


def copy_sources(target, without=()):
    """Every file that git would commit, as it is in the work tree; `without`: paths that begin so are left out."""
    for name in must(["git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard"]).splitlines():
        if (ROOT / name).is_file() and not name.startswith(tuple(without)):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
