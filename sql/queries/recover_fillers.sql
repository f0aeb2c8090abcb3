-- $1 at most so many: the adjustments that recover would book.
SELECT f.tenant, f.account_id, f.version, f.kind, f.amount_minor, coalesce(a.currency, ''), f.note
FROM pg_temp.recover_filler f LEFT JOIN pg_temp.recover_account a USING (tenant, account_id)
ORDER BY f.tenant, f.account_id, f.version LIMIT $1::int8;
