"""The real worker killed at each kind of port call, and twice in a row where it hurts most (crash_points.py has every point and every pair)."""
import os
import subprocess

import pytest

from crash_points import Campaign, chosen_points
from stack import ROOT, Stack

# What every worker's life is made of; whether a lane must wait for its dead letter (fetch.stop), say, is a matter of timing.
KINDS = {"stream.open", "ledger.connect", "ledger.read", "group.assigned", "group.still_assigned", "group.commit", "lane.claim", "requests.bounds",
         "replies.bounds", "anchor.read", "publisher.open", "fetch.start", "record.request", "record.end", "letter.publish", "letter.report",
         "settle.begin", "settle.read", "settle.write", "settle.committed", "reply.publish", "reply.report"}
PAIRS = [(first, second)
         for first in ("settle.write:1:late", "reply.publish:2:late", "letter.publish:1:late")
         for second in ("lane.claim:1:late", "replies.read:1:before", "answers.look_up:1:before", "reply.publish:1:after", "settle.write:1:late")]


@pytest.fixture(scope="module")
def campaign(servers, tmp_path_factory):
    return Campaign(servers, tmp_path_factory.mktemp("crash"), jobs=4)


def run(campaign, cases):
    campaign.run(cases)
    done = [campaign.done[case] for case in cases]
    assert [entry for entry in done if entry["failure"]] == []
    return done


def test_a_worker_killed_once_at_any_kind_of_port_call_loses_and_doubles_nothing(campaign):
    points = list(chosen_points(campaign.trace_of_a_clean_life()))
    assert {point.split(":")[0] for point in points} >= KINDS
    done = run(campaign, [(point,) for point in points])
    missed = [entry["case"] for entry in done if entry["died"] != [True] and entry["case"][0].split(":")[0] in KINDS]
    assert missed == [], "it never came by its point"


def test_a_worker_killed_again_while_it_repairs_the_first_death_loses_and_doubles_nothing(campaign):
    done = run(campaign, PAIRS)
    # Whether a reply had left librdkafka's queue decides what is left to read or to look up: not every second life comes by its point.
    # A claim, a settle and a reply are in each, though, and what was settled and not answered is looked up.
    always = {pair for pair in PAIRS if pair[1].split(":")[0] in ("lane.claim", "settle.write", "reply.publish")
              or pair[1].startswith("answers.look_up") and not pair[0].startswith("letter.publish")}
    missed = [entry["case"] for entry in done if entry["died"] != [True, True] and entry["case"] in always]
    assert missed == [], "it never came by its point"


def test_a_release_build_has_no_crash_points(tmp_path):
    worker = tmp_path / "bin" / "paybuf-worker"
    subprocess.run(["cmake", "--preset", "release", "-S", ROOT, "-B", tmp_path], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", tmp_path, "--target", "paybuf-worker"], check=True, stdout=subprocess.DEVNULL)
    under_test = Stack(tmp_path).binary("paybuf-worker")
    assert b"PAYBUF_TEST_CRASH" not in worker.read_bytes()
    assert b"PAYBUF_TEST_CRASH" in open(under_test, "rb").read(), "the control: this test looks for the right thing"
    done = subprocess.run([worker, "--check-config"], env={**os.environ, "PAYBUF_TEST_CRASH_AT": "nonsense"}, capture_output=True, text=True, timeout=30)
    assert "PAYBUF_TEST_CRASH" not in done.stdout + done.stderr
