-- $1 batch: the accounts as they were looked at, locked in the global order.
WITH locked AS MATERIALIZED (
    SELECT a.version = r.version_before AS same
    FROM (SELECT tenant, account_id, version_before FROM pg_temp.recover_account WHERE batch = $1::int4 AND found ORDER BY tenant, account_id OFFSET 0) r
    LEFT JOIN LATERAL (SELECT x.version FROM paybuf.account x WHERE x.tenant = r.tenant AND x.account_id = r.account_id FOR NO KEY UPDATE) a ON true
)
SELECT paybuf.require((SELECT coalesce(bool_and(same IS TRUE), true) FROM locked), 'an account was changed while recover looked at it; run it again');
