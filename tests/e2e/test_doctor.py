"""paybuf doctor about retention and growth, and what docs/retention.md says may be deleted."""
import json
import os
import re
import subprocess
import textwrap

import pytest
from confluent_kafka.admin import ConfigResource
from stack import ROOT, wait_until

WAITING, REFUSED = "first unanswered request", "refusals older than 30 days"
DAY_MS = 86_400_000


@pytest.fixture
def ledger(new_ledger):
    ledger = new_ledger(accounts=["alice"])
    ledger.append(ledger.workload(200, ["alice"]), partition=0)
    ledger.append([(b"bad", b"not json", [])] * 5, partition=1)
    ledger.wait_at_rest()
    return ledger


def doctor(ledger):
    """{check: line} and the exit code."""
    done = ledger.cli("doctor", "-o", "ndjson", ok=(0, 4))
    return {line["check"]: line for line in map(json.loads, done.stdout.splitlines())}, done.returncode


def keep_for(ledger, topic, retention_ms):
    """As kafka-configs.sh does where a topic has one setting only: the others of `paybuf init` are given again."""
    settings = {"cleanup.policy": "delete", "message.timestamp.type": "LogAppendTime", "retention.ms": str(retention_ms)}
    admin = ledger.admin_client()
    for future in admin.alter_configs([ConfigResource(ConfigResource.Type.TOPIC, topic, set_config=settings)]).values():
        future.result(30)

    def shown():
        found, = admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, topic)]).values()
        return found.result(30)["retention.ms"].value == str(retention_ms)
    wait_until(shown, 30, f"the broker shows the new retention of {topic}")


def test_a_ledger_at_rest_with_the_settings_of_init_has_nothing_to_mend_in_what_grows(ledger):
    lines, _ = doctor(ledger)
    found = {name: lines[name]["found"] for name in ("records kept", WAITING, REFUSED)}
    assert found == {"records kept": "205 requests, 205 replies", WAITING: "none found waiting", REFUSED: "0, 0 may be deleted"}
    for name in (*found, "retention of replies", "retention of dead letters", "table payment", "table refusal", "table adjustment"):
        assert lines[name]["state"] == "ok", lines[name]
    assert re.fullmatch(r"about \d+ rows, \d+\.\d MB with indexes", lines["table payment"]["found"])


def test_replies_kept_for_less_than_requests_are_a_warning(ledger):
    before = doctor(ledger)[1]
    keep_for(ledger, ledger.replies, 2 * DAY_MS)
    lines, exit_code = doctor(ledger)
    assert lines["retention of replies"]["state"] == "warning" and lines["retention of replies"]["found"] == "2.0 days"
    assert lines["retention of dead letters"]["state"] == "ok" and exit_code == before


def test_a_request_that_waits_while_retention_comes_nearer_is_told_with_its_partition(ledger):
    ledger.stop()
    ledger.append(ledger.workload(3, ["alice"], seed=2), partition=2)
    lines, _ = doctor(ledger)
    assert lines[WAITING]["state"] == "ok"
    assert re.fullmatch(r"partition 2: waits \d+\.\d minutes, (30\.0|29\.\d) days left", lines[WAITING]["found"])
    keep_for(ledger, ledger.requests, 30_000)   # half of it is over before the broker may delete anything
    line = wait_until(lambda: next((line for line in [doctor(ledger)[0][WAITING]] if line["state"] != "ok"), None), 29, "the warning")
    waits, left = map(float, re.fullmatch(r"partition 2: waits (0\.\d) minutes, (0\.\d) minutes left", line["found"]).groups())
    assert waits >= left and 0.4 <= waits + left <= 0.6 and line["fix"].startswith("what is deleted")


def test_a_request_that_was_deleted_unanswered_fails_and_names_the_command(ledger):
    ledger.stop()
    end = ledger.append(ledger.workload(3, ["alice"], seed=2), partition=2)[-1][1] + 1
    ledger.delete_records(ledger.requests, 0, 100)          # answered: harmless
    assert doctor(ledger)[0][WAITING]["found"].startswith("partition 2: waits")
    ledger.delete_records(ledger.requests, 2, end)
    lines, exit_code = doctor(ledger)
    assert lines[WAITING]["found"] == "partition 2: not in the log any more" and exit_code == 4
    assert "paybuf recover lane 2" in lines[WAITING]["fix"]


@pytest.mark.parametrize("away", ["topic", "cluster", "database"])
def test_what_cannot_be_asked_is_said_and_never_passed_over(ledger, away):
    retention = {"retention of replies", "retention of dead letters", WAITING, REFUSED}
    environment = {"topic": {"PAYBUF_DLQ_TOPIC": "nobody.made.this"}, "cluster": {"PAYBUF_KAFKA_BOOTSTRAP": "127.0.0.1:1"},
                   "database": {"PAYBUF_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"}}[away]
    ledger.env = {**ledger.env, **environment}
    done = ledger.cli("doctor", "-o", "ndjson", ok=(4, 69))
    lines = {line["check"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert {lines[check]["state"] for check in retention} == {"warning"} and {lines[check]["found"] for check in retention} == {"not checked"}
    said = {"topic": "nobody.made.this doesn't exist", "cluster": "the cluster couldn't be asked", "database": "PostgreSQL couldn't be asked"}[away]
    assert said in lines[WAITING]["fix"] and (done.stderr != "" or away == "topic")


def run_commands(ledger, mark, **folders):
    """The commands behind a mark of docs/retention.md, word for word but for the folders."""
    page = (ROOT / "docs" / "retention.md").read_text()
    commands, = re.findall(rf"<!-- {mark}: tried by tests/e2e/test_doctor.py -->\n\n((?:    .*\n)+)", page)
    for name, folder in folders.items():
        commands = commands.replace(f"/{name}", str(folder))
    path = os.path.dirname(ledger.binary("paybuf")) + ":" + os.environ["PATH"]
    environment = {**ledger.environment, **ledger.env, "PATH": path, "PAYBUF_CONFIG": str(ledger.run_dir / "paybuf.conf")}
    return subprocess.run(["bash", "-euo", "pipefail", "-c", textwrap.dedent(commands)], env=environment, capture_output=True, text=True, timeout=300)


def clean_refusals(ledger):
    """How many were deleted."""
    done = run_commands(ledger, "refusals")
    assert done.returncode == 0, done.stderr
    return int(re.search(r"DELETE (\d+)", done.stdout)[1])


def test_old_refusals_may_go_when_their_requests_are_gone_and_no_sooner(ledger):
    ledger.sql("UPDATE paybuf.refusal SET decided_at = decided_at - interval '31 days' WHERE src_offset <> 1")
    assert doctor(ledger)[0][REFUSED]["found"] == "4, 0 may be deleted"
    assert clean_refusals(ledger) == 0
    ledger.delete_records(ledger.requests, 1, 3)
    assert doctor(ledger)[0][REFUSED]["found"] == "4, 2 may be deleted"
    assert clean_refusals(ledger) == 2          # not offset 1, which is young, and not 3 and 4, whose requests are there
    assert ledger.sql("SELECT array_agg(src_offset ORDER BY src_offset) FROM paybuf.refusal") == [([1, 3, 4],)]
    ledger.sql("UPDATE paybuf.refusal SET decided_at = decided_at + interval '31 days' WHERE src_offset <> 1")
    assert "0 differences" in ledger.cli("audit").stdout


def test_an_archive_is_proven_where_it_is_kept_and_has_the_hash_of_the_live_tables(ledger, tmp_path):
    folders = {name: tmp_path / name for name in ("backup", "archive", "restored")}
    for folder in folders.values():
        folder.mkdir()
    done = run_commands(ledger, "archive", **folders)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = (folders["restored"] / "ledger-2026-11.audit").read_text().splitlines()
    live = json.loads(ledger.cli("audit", "-o", "json").stdout)["summary"]["sha256"]
    assert lines[-1] == "0 differences" and any(line.endswith(f"0 differences, sha256 {live}") for line in lines)
