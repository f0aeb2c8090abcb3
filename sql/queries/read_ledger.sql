SELECT ledger_id::text, incarnation, pg_postmaster_start_time(), halted, halted_reason FROM paybuf.ledger;
