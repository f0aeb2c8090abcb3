SELECT tenant, account_id, currency, balance_minor, floor_minor, state, version
FROM paybuf.account
ORDER BY tenant, account_id;
