"""paybuf recover database against a twin: what it brings back equals what was told, and a run that had no accident."""
from recovering import ACCOUNTS, halted, plan_of, restore_backup, take_backup, told

OWN_SERVERS = True                   # a pair of its own: see conftest.servers


def rows(ledger):
    return ledger.sql("SELECT p::text FROM paybuf.payment p ORDER BY tenant, order_id, attempt")


def content(ledger):
    """Everything that was decided, but for the moments."""
    return (ledger.sql("SELECT order_id, attempt, account_id, amount_minor, outcome, reason, balance_after_minor, account_version, src_partition, src_offset "
                       "FROM paybuf.payment ORDER BY 1, 2"),
            ledger.sql("SELECT src_partition, src_offset, code, field FROM paybuf.refusal ORDER BY 1, 2"),
            ledger.sql("SELECT account_id, balance_minor, version, floor_minor, state FROM paybuf.account ORDER BY 1"),
            ledger.sql("SELECT account_id, kind, amount_minor, account_version FROM paybuf.adjustment ORDER BY 1, 4"))


def test_what_is_recovered_equals_to_the_byte_what_was_told_and_a_run_without_an_accident(new_ledger, servers):
    def begin(ledger):
        ledger.append(ledger.workload(300, ACCOUNTS, seed=1), partition=0)
        ledger.wait_at_rest()

    def go_on(ledger):
        ledger.append(ledger.workload(200, ACCOUNTS, seed=2) + [(b"x", b"no json", [])], partition=0)
        ledger.wait_at_rest()
        ledger.cli("account", "topup", "a-1", "777", "--id", "lost")
        ledger.cli("account", "freeze", "a-2")
        ledger.append(ledger.workload(300, ACCOUNTS + ["nobody"], seed=3), partition=0)
        ledger.wait_at_rest()
        for partition, order in ((1, "untold"), (0, "told-behind-it")):     # versions n and n + 1 of one account
            ledger.append([{"order_id": order, "account_id": "a-7", "amount_minor": 50, "currency": "EUR"}], partition=partition)
            ledger.wait_at_rest()

    def end(ledger):
        ledger.cli("account", "topup", "a-4", "33", "--id", "made-after-the-database-came-back")

    ledger, twin = (new_ledger(accounts=ACCOUNTS, partitions=2) for _ in range(2))
    begin(twin)
    go_on(twin)
    end(twin)
    begin(ledger)
    take_backup(servers)
    go_on(ledger)
    ledger.kill(expel=True)
    ledger.delete_records(ledger.replies, 1, 1)         # as if it had been killed between commit and publish
    rows_before, told_before = rows(ledger), told(ledger)
    restore_backup(servers)
    assert len(rows(ledger)) < len(rows_before)
    end(ledger)
    plan = plan_of(ledger.cli("recover", "database", "-o", "json", ok=(4,)))
    assert {(a["account_id"], a["kind"], a["amount_minor"]) for a in plan["adjustments"]} == {("a-1", "credit", 777), ("a-2", "freeze", 0)}
    assert plan["summary"]["untold"] == 1, "the hole before told-behind-it is a request, not a debit"
    ledger.sql("UPDATE paybuf.account SET balance_minor = balance_minor + 1 WHERE account_id = 'a-5'")      # by hand
    lost = rows(ledger)
    refused = ledger.cli("recover", "database", "--yes", "--book-adjustments", ok=(4,))
    assert "account_contradicts" in refused.stdout and "a-5" in refused.stdout
    assert rows(ledger) == lost and halted(ledger), "recover wrote although it can't be right"
    assert "first: paybuf recover database" in ledger.cli("recover", "lane", "0", "--yes", ok=(4,)).stderr
    ledger.sql("UPDATE paybuf.account SET balance_minor = balance_minor - 1 WHERE account_id = 'a-5'")
    ledger.cli("recover", "database", "--yes", "--book-adjustments")
    assert halted(ledger) is None
    assert [row for row in rows(ledger) if ",untold," not in row[0]] == [row for row in rows_before if ",untold," not in row[0]]
    assert told(ledger) == told_before
    ledger.start()
    for one in (ledger, twin):          # the twin's lane was at rest when the backup was made
        one.append(one.workload(200, ACCOUNTS, seed=4), partition=0)
        one.wait_at_rest()
        one.check()
    assert content(ledger) == content(twin)
    done = ledger.cli("recover", "database", "--yes")
    assert "nothing to recover" in done.stderr
