-- $1 tenant  $2 order  $3 attempt  $4 account  $5 currency  $6 amount  $7 outcome  $8 reason  $9 balance after  $10 version
-- $11 generation  $12 partition  $13 offset  $14 decided at, microseconds since 1970  $15 first hand
INSERT INTO pg_temp.recover_told
SELECT u.tenant, u.order_id, u.attempt, u.account_id, u.currency, u.amount, u.outcome, u.reason, u.balance, u.version, u.generation, u.partition,
    u.source_offset, timestamptz 'epoch' + u.decided_at * interval '1 microsecond', u.first_hand
FROM unnest($1::text[], $2::text[], $3::int4[], $4::text[], $5::text[], $6::int8[], $7::text[], $8::text[], $9::int8[], $10::int8[],
    $11::int8[], $12::int4[], $13::int8[], $14::int8[], $15::bool[])
    AS u (tenant, order_id, attempt, account_id, currency, amount, outcome, reason, balance, version, generation, partition, source_offset, decided_at,
        first_hand);
