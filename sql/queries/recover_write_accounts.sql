-- $1 batch
UPDATE paybuf.account a SET balance_minor = r.balance_minor, floor_minor = r.floor_minor, state = r.state, version = r.version
FROM pg_temp.recover_account r
WHERE r.batch = $1::int4 AND r.found AND a.tenant = r.tenant AND a.account_id = r.account_id;
