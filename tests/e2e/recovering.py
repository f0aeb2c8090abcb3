"""What the tests of `paybuf recover` share: backups of the whole server, and lanes that are halted and go on."""
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

from stack import wait_until

ACCOUNTS = [f"a-{i}" for i in range(10)]


def orders(prefix, count, amount_minor=1):
    return [{"order_id": f"{prefix}-{i}", "account_id": ACCOUNTS[i % 10], "amount_minor": amount_minor, "currency": "EUR"} for i in range(count)]


# --- a backup of the whole server, and back to it ---

def data_directory(servers):
    return Path((servers.run_dir / "postgres.dir").read_text().strip()) / "data"


def as_owner_of(path):
    """How to run a program as the user whose files these are: postgres refuses root."""
    status = os.stat(path)
    if os.geteuid() != 0 or status.st_uid == 0:
        return []
    return ["setpriv", f"--reuid={status.st_uid}", f"--regid={status.st_gid}", "--clear-groups", "--"]


def take_backup(servers):
    """pg_basebackup of the running server, under whatever load it has."""
    data = data_directory(servers)
    backup = data.with_name("backup")
    shutil.rmtree(backup, ignore_errors=True)
    loaded = servers.sql("SELECT pg_conf_load_time()")
    (data / "pg_hba.conf").write_text("host all all 127.0.0.1/32 trust\nhost replication all 127.0.0.1/32 trust\n")     # until the next start
    os.kill(servers.pid("postgres"), signal.SIGHUP)
    wait_until(lambda: servers.sql("SELECT pg_conf_load_time()") != loaded, 60, "PostgreSQL read its settings again")      # as a new session has them
    port = servers.env["PAYBUF_DATABASE_URL"].rsplit(":", 1)[1].split("/")[0]
    program = f"/usr/lib/postgresql/{(data / 'PG_VERSION').read_text().strip()}/bin/pg_basebackup"
    done = subprocess.run([*as_owner_of(data), program, "-h", "127.0.0.1", "-p", port, "-U", "postgres", "-D", str(backup), "-c", "fast", "--no-sync", "-X", "stream"],
                          cwd="/", capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def restore_backup(servers):
    """The server dies and comes back as the backup was."""
    data = data_directory(servers)
    servers.dev("kill", "postgres", check=False)
    shutil.rmtree(data)
    subprocess.run(["cp", "-a", str(data.with_name("backup")), str(data)], check=True)
    servers.dev("start", "postgres")


def told(ledger):
    """Every reply as it lies in the log: (partition, offset, key, value, headers)."""
    return {p: [(m.offset(), m.key(), m.value(), m.headers()) for m in messages] for p, messages in ledger.read(ledger.replies).items()}


def halted(ledger):
    return ledger.sql("SELECT halted_reason FROM paybuf.ledger")[0][0]


def plan_of(done):
    return json.loads(done.stdout)


# --- lanes ---

def look(ledger):
    return {row["partition"]: row for row in json.loads(ledger.cli("recover", "-o", "json", ok=(0, 4)).stdout)}


def lane_halted(ledger, partition, reason, timeout_s=90):
    wait_until(lambda: ledger.lanes()[partition]["halted_reason"], timeout_s, f"partition {partition} halted")
    assert ledger.lanes()[partition]["halted_reason"] == reason


def goes_on(ledger, partition, timeout_s=90):
    """Until everything of the lane is settled and answered."""
    def at_rest():
        lane = ledger.lanes()[partition]
        end = ledger.bounds()[partition][1]
        return lane["halted_reason"] is None and lane["next_offset"] == end and (lane["anchor_offset"] is None or lane["replied_offset"] > lane["anchor_offset"])
    wait_until(at_rest, timeout_s, f"partition {partition} goes on")
