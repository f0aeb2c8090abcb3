-- $1 batch: adjustments made after the database came back go behind what is re-applied. No listener was told their versions.
UPDATE paybuf.adjustment j SET account_version = j.account_version + r.later_moves_by
FROM pg_temp.recover_account r JOIN pg_temp.recover_later l USING (tenant, account_id)
WHERE r.batch = $1::int4 AND r.later_moves_by <> 0 AND j.tenant = l.tenant AND j.adjustment_id = l.adjustment_id;
