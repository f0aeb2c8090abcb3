-- $1 tenant (null: all)  $2 state (null: all)  $3 at most so many
SELECT tenant, account_id, currency, balance_minor, floor_minor, state, version
FROM paybuf.account
WHERE ($1::text IS NULL OR tenant = $1::text) AND ($2::text IS NULL OR state = $2::text)
ORDER BY tenant, account_id
LIMIT $3::int8;
