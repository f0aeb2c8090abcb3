-- $1 batch
INSERT INTO paybuf.account (tenant, account_id, currency, balance_minor, floor_minor, state, version)
SELECT tenant, account_id, currency, balance_minor, floor_minor, state, version
FROM pg_temp.recover_account WHERE batch = $1::int4 AND NOT found ORDER BY tenant, account_id;
