-- $1 batch. The id says by itself which hole it fills: again, it would be refused as a duplicate.
INSERT INTO paybuf.adjustment (tenant, adjustment_id, account_id, kind, amount_minor, account_version, note)
SELECT f.tenant, 'recover:' || f.account_id || ':' || f.version::text, f.account_id, f.kind, f.amount_minor, f.version, 'paybuf recover: ' || f.note
FROM pg_temp.recover_filler f JOIN pg_temp.recover_account r USING (tenant, account_id)
WHERE r.batch = $1::int4 ORDER BY f.tenant, f.account_id, f.version;
