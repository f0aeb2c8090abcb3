"""Clients who come and go for a quarter of a minute leave nothing behind in an intake (soak.py is the half hour)."""
from soak import ACCOUNTS, soak


def test_clients_who_come_and_go_leave_nothing_behind(servers, tmp_path):
    ledger = servers.new_ledger("soak", accounts=ACCOUNTS)
    ledger.start("producer")
    said = []
    assert soak(ledger, 0.25, 1, 20, str(tmp_path / "accepted"), said.append) == [], "\n".join(said)
