"""disks - small disks (tmpfs) under PostgreSQL's data and one broker's log, that can be full: their size is set to what is used."""
import os
import subprocess

SLACK_BYTES = 16 * 1024
SLACK_MAX_BYTES = 16 * 1024 * 1024


class Disks:
    def __init__(self, size_mb):
        self.size_mb = size_mb
        self.folders = {}

    def mount(self, name, folder):
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.size_mb}m", "none", folder], check=True, capture_output=True)
        self.folders[name] = folder

    def fill(self, name):
        slack = SLACK_BYTES
        while True:
            status = os.statvfs(self.folders[name])
            try:
                self.resize(name, (status.f_blocks - status.f_bfree) * status.f_frsize + slack)
                return
            except subprocess.CalledProcessError:
                slack *= 2                  # somebody wrote meanwhile: a size below what is used is refused
                if slack > SLACK_MAX_BYTES:
                    raise

    def free(self, name):
        self.resize(name, self.size_mb * 1024 * 1024)

    def resize(self, name, size):
        subprocess.run(["mount", "-o", f"remount,size={size}", self.folders[name]], check=True, capture_output=True)


def possible(folder):
    """Whether we may mount, in a mount namespace of our own."""
    if not os.environ.get("CHAOS_UNSHARED"):
        return False
    probe = folder / "probe"
    probe.mkdir(parents=True)
    try:
        Disks(1).mount("probe", probe)
        subprocess.run(["umount", probe], check=True, capture_output=True)
        return True
    except subprocess.CalledProcessError:
        return False
    finally:
        probe.rmdir()
