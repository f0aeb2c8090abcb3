-- The next told decisions in the order of accounts and versions, each with its account as the database has it.
--
-- $1 tenant  $2 account  $3 version: behind these  $4 at most so many
SELECT e.tenant, e.account_id, e.account_version, e.outcome, e.reason, e.currency, e.amount_minor,
    e.balance_after_minor, (extract(epoch FROM e.decided_at) * 1000000)::int8, e.on_file,
    a.currency, a.balance_minor, a.floor_minor, a.state, a.version, l.count, l.change_minor, l.movable
FROM pg_temp.recover_event e
LEFT JOIN paybuf.account a USING (tenant, account_id)
LEFT JOIN LATERAL (
    SELECT count(*) AS count, coalesce(sum(x.change_minor), 0)::int8 AS change_minor,
        coalesce(bool_and(x.change_minor IS NOT NULL) AND min(x.account_version) = a.version - count(*) + 1, true) AS movable
    FROM pg_temp.recover_later x WHERE x.tenant = e.tenant AND x.account_id = e.account_id
) l ON true
WHERE (e.tenant, e.account_id, e.account_version) > ($1::text, $2::text, $3::int8) AND e.account_version IS NOT NULL
ORDER BY e.tenant, e.account_id, e.account_version
LIMIT $4::int8;
